-- Crashes and their way through the processor. Times are UTC; crash ids are lower-case text of 36.

CREATE TABLE raw_crash (
  crash_id   char(36) PRIMARY KEY,
  submitted  timestamptz NOT NULL,
  created    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX raw_crash_submitted ON raw_crash (submitted);

CREATE TABLE crash_job (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  crash_id    char(36) NOT NULL,
  ruleset     text NOT NULL DEFAULT 'default',
  queue       smallint NOT NULL,                -- 0 priority, 1 standard, 2 reprocessing
  state       smallint NOT NULL DEFAULT 0,      -- 0 ready, 1 leased, 2 dead
  run_after   timestamptz NOT NULL DEFAULT now(),
  attempts    smallint NOT NULL DEFAULT 0,      -- leases granted
  lost        smallint NOT NULL DEFAULT 0,      -- leases that expired
  fence       bigint NOT NULL DEFAULT 0,        -- +1 per lease
  lease_until timestamptz,
  worker      text,
  request_id  bigint,                           -- bulk request, if any
  enqueued_at timestamptz NOT NULL DEFAULT now(),
  last_error  text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE UNIQUE INDEX crash_job_ready ON crash_job (crash_id, ruleset) WHERE state = 0;
CREATE UNIQUE INDEX crash_job_busy  ON crash_job (crash_id) WHERE state = 1;
CREATE INDEX crash_job_next  ON crash_job (queue, run_after, id) WHERE state = 0;
CREATE INDEX crash_job_lease ON crash_job (lease_until) WHERE state = 1;

CREATE TABLE processed_crash (
  crash_id   char(36) PRIMARY KEY,
  pass       int NOT NULL DEFAULT 1,            -- times processed
  fence      bigint NOT NULL,                   -- of the job that wrote it
  job_id     bigint NOT NULL,
  blob       text NOT NULL,                     -- key in the crash store
  success    boolean NOT NULL,
  signature  text NOT NULL,
  processed  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX processed_crash_processed ON processed_crash (processed);
