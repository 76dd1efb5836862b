-- What housekeeping needs to know (docs/jobs.md): crashes without a document, crashes that are kept,
-- when people were last here, names of graphics devices.

CREATE TABLE missing_processed_crash (
  crash_id      char(36) PRIMARY KEY,
  created       timestamptz NOT NULL DEFAULT now(),
  is_processed  boolean NOT NULL DEFAULT false
);
CREATE INDEX missing_processed_crash_open ON missing_processed_crash (created) WHERE NOT is_processed;

-- Crashes that stay whatever their age, because somebody says so.
CREATE TABLE crash_pin (
  crash_id  char(36) PRIMARY KEY,
  who       text NOT NULL,
  why       text NOT NULL DEFAULT '',
  pinned    timestamptz NOT NULL DEFAULT now()
);
-- The same because they are among the first or the newest of their signature: made anew by each
-- run of the job, so it need not survive a failure of the server.
CREATE UNLOGGED TABLE crash_keep (crash_id char(36) PRIMARY KEY);

-- To the day. Who is there already counts as seen today.
ALTER TABLE users ADD COLUMN last_login timestamptz NOT NULL DEFAULT now();

CREATE TABLE graphics_device (
  vendor_hex    text COLLATE "C" NOT NULL,      -- 0x10de
  adapter_hex   text COLLATE "C" NOT NULL,      -- 0x1234; '' is the vendor itself
  vendor_name   text NOT NULL,
  adapter_name  text NOT NULL,
  PRIMARY KEY (vendor_hex, adapter_hex)
);

-- Drops the weeks of the search tables that were over before a moment; their number.
CREATE FUNCTION crash_expire(moment timestamptz) RETURNS int LANGUAGE plpgsql
SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
  part text;
  dropped int := 0;
BEGIN
  FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = 'crash'::regclass ORDER BY c.relname LOOP
    IF to_date(substr(part, 7), 'IYYY"w"IW') + 7 <= moment::date THEN
      EXECUTE format('DROP TABLE %I', part);
      dropped := dropped + 1;
    END IF;
  END LOOP;
  RETURN dropped;
END $$;
