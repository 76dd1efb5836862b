-- Reprocessing: bulk requests, symbols that crashes lack, the progress of a rebuild
-- (docs/reprocessing.md).

-- A request is expanded into jobs of lane 2, step by step, at its rate. What is done is not counted:
-- it is what was queued less what crash_job still has of it, so that no lost job leaves a request
-- waiting for ever.
CREATE TABLE reprocess_request (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         text NOT NULL CHECK (kind IN ('ids', 'search', 'module', 'symbols')),
  query        jsonb NOT NULL,                -- as it was asked; of a search [[field, value], ...]
  ruleset      text NOT NULL DEFAULT 'default',
  requester    text NOT NULL,
  reason       text NOT NULL DEFAULT '',
  rate         int NOT NULL CHECK (rate >= 0),    -- jobs queued a second at most; 0: no limit
  max_running  int CHECK (max_running > 0),   -- of its jobs so many may be leased at once; NULL: any
  state        text NOT NULL DEFAULT 'running'
               CHECK (state IN ('running', 'paused', 'cancelled', 'done')),
  expanded     boolean NOT NULL DEFAULT false,    -- every crash has been handed to the queue
  total        bigint NOT NULL,               -- crashes, as counted when it was made
  queued       bigint NOT NULL DEFAULT 0,     -- of them handed to the queue
  dead         bigint NOT NULL DEFAULT 0,     -- given up; final once the request has ended
  cursor_item  bigint NOT NULL DEFAULT 0,     -- last reprocess_item.n that was queued
  cursor_date  timestamptz,                   -- last row of the search that was queued
  cursor_uuid  uuid,
  error        text,                          -- why it was cancelled by the server
  created      timestamptz NOT NULL DEFAULT now(),
  stepped      timestamptz NOT NULL DEFAULT now(),    -- of the last step: the rate counts from here
  finished     timestamptz
);
CREATE INDEX reprocess_request_open ON reprocess_request (id) WHERE state IN ('running', 'paused');
CREATE INDEX reprocess_request_quota ON reprocess_request (requester, created);

-- Crashes that are listed one by one; gone when the request has ended.
CREATE TABLE reprocess_item (
  request_id  bigint NOT NULL REFERENCES reprocess_request ON DELETE CASCADE,
  n           bigint NOT NULL,                -- from 1, without gaps
  crash_id    char(36) NOT NULL,
  ruleset     text,                           -- NULL: the request's
  PRIMARY KEY (request_id, n)
);

CREATE INDEX crash_job_request ON crash_job (request_id, state) WHERE request_id IS NOT NULL;

-- Modules whose symbols a crash's walk asked for in vain; written with the document.
CREATE TABLE crash_missing_symbol (
  crash_id    char(36) NOT NULL,
  debug_id    text COLLATE "C" NOT NULL,      -- upper-case
  debug_file  text COLLATE "C" NOT NULL,      -- ASCII letters lower-case, as the store folds them
  date        timestamptz NOT NULL,           -- of the crash
  tries       smallint NOT NULL DEFAULT 0,    -- times that arriving symbols had it processed again
  PRIMARY KEY (crash_id, debug_id, debug_file)
);
CREATE INDEX crash_missing_symbol_module ON crash_missing_symbol (debug_id, debug_file);
CREATE INDEX crash_missing_symbol_date ON crash_missing_symbol (date);

-- Symbols that have come, in whatever way, and were not yet compared with what crashes lack. All of
-- them are noted: a crash that is being walked while they come says only later that it lacks them.
CREATE TABLE symbol_arrival (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  debug_id    text COLLATE "C" NOT NULL,
  debug_file  text COLLATE "C" NOT NULL,
  at          timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION symbol_file_arrived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO symbol_arrival (debug_id, debug_file)
    SELECT DISTINCT upper(debug_id COLLATE "C"), lower(debug_file COLLATE "C")
    FROM arrived WHERE kind = 'sym' AND NOT is_try;
  RETURN NULL;
END $$;
CREATE TRIGGER symbol_file_arrived AFTER INSERT ON symbol_file
  REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION symbol_file_arrived();

-- Folders of the crash store that `salvage rebuild` is through with.
CREATE TABLE rebuild_part (
  part      text PRIMARY KEY,                 -- YYYYMMDD/xx
  crashes   bigint NOT NULL,
  finished  timestamptz NOT NULL DEFAULT now()
);
