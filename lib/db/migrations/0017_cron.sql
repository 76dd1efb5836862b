-- Periodic jobs (docs/jobs.md): what each is up to, and what its runs have come to.

CREATE TABLE cron_job (
  app_name      text PRIMARY KEY,               -- a job of jobs.def; NAME@HOST if it is per host
  next_run      timestamptz,                    -- null: by the clock, see docs/jobs.md
  first_run     timestamptz,
  last_run      timestamptz,
  last_success  timestamptz,                    -- what the last good run was for
  error_count   int NOT NULL DEFAULT 0,         -- since then
  last_error    jsonb NOT NULL DEFAULT '{}',
  ongoing       timestamptz,                    -- when the run that goes on began; shown, not trusted
  runner        text,                           -- host and process of it
  enabled       boolean,                        -- null: as configured; so the next two
  frequency     text,
  run_at        text
);

CREATE TABLE cron_log (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  app_name   text NOT NULL,
  log_time   timestamptz NOT NULL DEFAULT clock_timestamp(),
  run_time   timestamptz NOT NULL,              -- what the run was for
  duration   double precision NOT NULL,         -- seconds
  success    boolean NOT NULL,
  done       bigint NOT NULL DEFAULT 0,         -- what it dealt with
  note       text,
  exc_type   text,                              -- kind of the error, SQLSTATE where there is one
  exc_value  text,
  runner     text NOT NULL
);
CREATE INDEX cron_log_job ON cron_log (app_name, id DESC);
CREATE INDEX cron_log_time ON cron_log (log_time);
