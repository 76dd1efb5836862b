-- Crash pings, and hints to clients (docs/pings.md, docs/hints.md).

-- Every document id of the weeks that are kept: a ping that comes again is ignored.
CREATE TABLE crash_ping_seen (
  document_id  uuid PRIMARY KEY,
  received     timestamptz NOT NULL
);
CREATE INDEX crash_ping_seen_received ON crash_ping_seen (received);

CREATE TABLE crash_ping (
  received       timestamptz NOT NULL,
  document_id    uuid NOT NULL,
  state          smallint NOT NULL DEFAULT 0,   -- 0 new, 1 leased, 2 signed, 3 not sampled, 4 failed
  attempts       smallint NOT NULL DEFAULT 0,   -- leases granted
  lease_until    timestamptz,
  dialect        smallint NOT NULL,             -- 0 Glean, 1 telemetry
  crash_time     timestamptz,
  app            text COLLATE "C" NOT NULL,     -- as in the path
  product        text COLLATE "C" NOT NULL,
  channel        text COLLATE "C" NOT NULL,
  version        text COLLATE "C" NOT NULL,
  build          text COLLATE "C" NOT NULL,
  os             text COLLATE "C" NOT NULL,
  os_version     text COLLATE "C" NOT NULL,
  arch           text COLLATE "C" NOT NULL,
  process_type   text COLLATE "C" NOT NULL,
  utility_actor  text COLLATE "C" NOT NULL,
  reason         text COLLATE "C" NOT NULL,     -- why it was sent: crash, event_found
  dump_sha256    text COLLATE "C",              -- of the minidump, lower-case hex: joins reports
  signature      text COLLATE "C",
  proto_signature text COLLATE "C",
  stack          jsonb,                         -- of the crashing thread, with names
  note           text,                          -- why it failed, or was signed without a stack
  body           jsonb NOT NULL,                -- as received, less what identifies a client
  PRIMARY KEY (document_id, received)
) PARTITION BY RANGE (received);
CREATE INDEX crash_ping_received ON crash_ping (received);
CREATE INDEX crash_ping_work ON crash_ping (received) WHERE state < 2;
CREATE INDEX crash_ping_signature ON crash_ping (signature, received) WHERE signature IS NOT NULL;
CREATE INDEX crash_ping_dump ON crash_ping (dump_sha256) WHERE dump_sha256 IS NOT NULL;

-- The other side of the join.
CREATE INDEX crash_minidump ON crash (minidump_sha256_hash) WHERE minidump_sha256_hash IS NOT NULL;

-- As crash_make_partition.
CREATE FUNCTION crash_ping_make_partition(moment timestamptz) RETURNS text LANGUAGE plpgsql
SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
  monday timestamptz := date_trunc('week', moment);
  part text := 'crash_ping_' || to_char(moment, 'IYYY"w"IW');
BEGIN
  IF to_regclass(part) IS NOT NULL THEN
    RETURN part;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('salvage.crash_ping_make_partition'));
  IF to_regclass(part) IS NOT NULL THEN
    RETURN part;
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE crash_ping INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH ('
                 'fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, '
                 'autovacuum_analyze_scale_factor = 0.05)', part);
  EXECUTE format('ALTER TABLE crash_ping ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
                 monday, monday + interval '7 days');
  RETURN part;
END $$;

-- Drops the weeks that ended before a moment, and what is remembered of them; their number.
CREATE FUNCTION crash_ping_expire(moment timestamptz) RETURNS int LANGUAGE plpgsql
SET lock_timeout = '2s' SET timezone = 'UTC' AS $$
DECLARE
  part text;
  dropped int := 0;
BEGIN
  FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = 'crash_ping'::regclass ORDER BY c.relname LOOP
    IF to_date(substr(part, 12), 'IYYY"w"IW') + 7 <= moment::date THEN
      EXECUTE format('DROP TABLE %I', part);
      dropped := dropped + 1;
    END IF;
  END LOOP;
  DELETE FROM crash_ping_seen WHERE received < date_trunc('week', moment);
  DELETE FROM ping_day WHERE day < date_trunc('week', moment)::date;
  DELETE FROM ping_stratum WHERE day < date_trunc('week', moment)::date;
  RETURN dropped;
END $$;

-- How many pings of a kind came on a day, and how many of them were taken into the sample.
CREATE TABLE ping_stratum (
  day            date NOT NULL,
  os             text COLLATE "C" NOT NULL,
  channel        text COLLATE "C" NOT NULL,
  process_type   text COLLATE "C" NOT NULL,
  utility_actor  text COLLATE "C" NOT NULL,
  received       bigint NOT NULL,
  taken          bigint NOT NULL,
  PRIMARY KEY (day, os, channel, process_type, utility_actor)
);

-- Signed pings, counted.
CREATE TABLE ping_day (
  day            date NOT NULL,
  signature      text COLLATE "C" NOT NULL,
  product        text COLLATE "C" NOT NULL,
  channel        text COLLATE "C" NOT NULL,
  version        text COLLATE "C" NOT NULL,
  os             text COLLATE "C" NOT NULL,
  process_type   text COLLATE "C" NOT NULL,
  n              bigint NOT NULL,
  PRIMARY KEY (day, signature, product, channel, version, os, process_type)
);

-- Crashes that are fixed.
CREATE TABLE hint_fixed (
  product    text COLLATE "C" NOT NULL,         -- '' is any
  signature  text COLLATE "C" NOT NULL,
  version    text NOT NULL,
  note       text NOT NULL DEFAULT '',          -- instead of the text of salvage.conf
  added      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (product, signature)
);

-- Clients are known by a hash under the installation's secret.
CREATE TABLE hint_fault (                       -- crashes of a client, for a while
  client     text COLLATE "C" NOT NULL,
  crash_id   char(36) NOT NULL,
  at         timestamptz NOT NULL DEFAULT now(),
  signature  text COLLATE "C" NOT NULL,
  module     text COLLATE "C" NOT NULL,
  PRIMARY KEY (client, crash_id)
);
CREATE INDEX hint_fault_at ON hint_fault (at);

CREATE TABLE hint_crash (                       -- what a crash itself tells
  crash_id   char(36) PRIMARY KEY,
  client     text COLLATE "C",
  kind       text NOT NULL,
  hint       text NOT NULL,
  made       timestamptz NOT NULL DEFAULT now(),
  told       timestamptz
);
CREATE INDEX hint_crash_made ON hint_crash (made);

CREATE TABLE hint_client (                      -- what its next reply tells a client
  client     text COLLATE "C" PRIMARY KEY,
  kind       text NOT NULL,
  rank       smallint NOT NULL,                 -- of kinds, the larger the surer
  hint       text NOT NULL,
  made       timestamptz NOT NULL DEFAULT now(),
  waiting    boolean NOT NULL DEFAULT true,
  told       timestamptz
);
CREATE INDEX hint_client_made ON hint_client (made);

SELECT crash_ping_make_partition(now() + i * interval '7 days') FROM generate_series(0, 4) i;
