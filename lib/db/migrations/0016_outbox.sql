-- What is to be sent out: telemetry, copies of reports for other collectors, web hooks (docs/export.md).

-- Where to. salvaged writes here what its configuration names; the end of a crash's job looks here.
CREATE TABLE outbox_destination (
  kind      smallint NOT NULL,                -- 0 telemetry, 1 stage, 2 web hook
  name      text COLLATE "C" NOT NULL,        -- as configured: a folder or bucket, a URL, a name
  sample    smallint NOT NULL DEFAULT 100,    -- stage: of a hundred crashes
  deferred  boolean NOT NULL DEFAULT false,   -- stage: crashes that wait to be looked at, too
  active    boolean NOT NULL DEFAULT true,    -- configured now
  adopted   timestamptz NOT NULL DEFAULT now(), -- stage: deferred crashes until here have rows
  PRIMARY KEY (kind, name)
);

-- What is sent, stored and tried again as one: rows that once travel together always do.
CREATE TABLE outbox_parcel (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         smallint NOT NULL,
  destination  text COLLATE "C" NOT NULL,
  size         int NOT NULL,                  -- rows
  attempts     smallint NOT NULL DEFAULT 0,   -- leases granted
  lost         smallint NOT NULL DEFAULT 0,   -- leases that ran out
  fence        bigint NOT NULL DEFAULT 0,     -- +1 per lease
  run_after    timestamptz NOT NULL DEFAULT now(),
  lease_until  timestamptz,                   -- NULL: nobody works on it
  worker       text,
  made         timestamptz NOT NULL DEFAULT now(),
  last_error   text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX outbox_parcel_next ON outbox_parcel (kind, destination, run_after, id);

CREATE TABLE outbox (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         smallint NOT NULL,
  destination  text COLLATE "C" NOT NULL,
  subject      text COLLATE "C" NOT NULL,     -- the crash id; of a web hook what it is about
  pass         int NOT NULL,                  -- of the crash; 0 where passes do not matter
  state        smallint NOT NULL DEFAULT 0,   -- 0 waits, 1 travels, 2 failed for good, 3 sent
  alone        boolean NOT NULL DEFAULT false, -- its parcel was lost three times
  parcel       bigint,
  attempts     smallint NOT NULL DEFAULT 0,
  put          timestamptz NOT NULL DEFAULT now(),
  ended        timestamptz,
  body         jsonb,                         -- of a web hook
  last_error   text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE UNIQUE INDEX outbox_subject ON outbox (subject, kind, destination, pass);
CREATE INDEX outbox_wait ON outbox (kind, destination, id) WHERE state = 0;
CREATE INDEX outbox_travels ON outbox (parcel) WHERE parcel IS NOT NULL;
CREATE INDEX outbox_ended ON outbox (ended) WHERE state >= 2;

-- The watermark: which state of a crash a destination of telemetry has seen.
CREATE TABLE telemetry_state (
  crash_id     char(36) NOT NULL,
  destination  text COLLATE "C" NOT NULL,
  first_pass   int NOT NULL,
  last_pass    int NOT NULL,
  exported     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (crash_id, destination)
);
CREATE INDEX telemetry_state_exported ON telemetry_state (exported);

-- What happened, counted (salvage export status --metrics).
CREATE TABLE outbox_count (
  metric       text COLLATE "C" NOT NULL,
  destination  text COLLATE "C" NOT NULL,
  n            bigint NOT NULL,
  PRIMARY KEY (metric, destination)
);

CREATE INDEX crash_job_deferred_at ON crash_job (enqueued_at) WHERE state = 3;
