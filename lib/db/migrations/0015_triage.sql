-- What triage knows of signatures, versions and bugs; counts by day; correlations (docs/triage.md).

-- When a signature was met first. Rows only ever move earlier.
CREATE TABLE signature (
  signature    text COLLATE "C" NOT NULL,
  first_seen   timestamptz NOT NULL,            -- of all its crashes
  first_date   timestamptz,                     -- of those with a build id
  first_build  bigint,                          -- lowest build id
  CHECK ((first_date IS NULL) = (first_build IS NULL))
);
-- any length: a btree on the text would fail above 2.7 kB
CREATE UNIQUE INDEX signature_key ON signature ((md5(signature)::uuid));

-- Version texts of builds, for products that send "108.0" where they are "108.0b3".
CREATE TABLE product_version (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  product   text NOT NULL,
  channel   text NOT NULL,                      -- lower case
  build     text NOT NULL,
  version   text NOT NULL,                      -- "108.0b3"
  release   text NOT NULL DEFAULT '',           -- "108.0"
  major     int NOT NULL DEFAULT 0,
  url       text NOT NULL DEFAULT '',           -- where it was read
  added     timestamptz NOT NULL DEFAULT now(),
  UNIQUE (product, channel, build, version)
);

-- Versions and builds that crashes came from, and those that are in use.
CREATE TABLE version_seen (
  product     text COLLATE "C" NOT NULL,
  version     text COLLATE "C" NOT NULL,
  channel     text COLLATE "C" NOT NULL,
  build       bigint NOT NULL,                  -- 0: none
  first_seen  timestamptz NOT NULL,
  last_seen   timestamptz NOT NULL,
  n           bigint NOT NULL,                  -- crashes of the days that are kept
  PRIMARY KEY (product, version, channel, build)
);
CREATE TABLE active_version (
  product   text COLLATE "C" NOT NULL,
  position  int NOT NULL,                       -- 1 is the newest
  version   text NOT NULL,
  n         bigint NOT NULL,
  PRIMARY KEY (product, position)
);

-- Bugs of the tracker and the signatures they name.
CREATE TABLE bug_association (
  bug        bigint NOT NULL,
  signature  text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX bug_association_key ON bug_association (bug, (md5(signature)::uuid));
CREATE INDEX bug_association_signature ON bug_association ((md5(signature)::uuid));

-- Counts by day (UTC) out of the search rows. Ids are terms, 0 is "none". A day is counted anew as
-- a whole whenever one of its rows has come or gone: day_touched says which, and nothing is ever
-- added or subtracted, so that no order of events makes a difference.
CREATE TABLE day_touched (
  day  date NOT NULL
);
CREATE INDEX day_touched_day ON day_touched (day);
CREATE TABLE rollup_day (
  day   date PRIMARY KEY,
  made  timestamptz NOT NULL,
  n     bigint NOT NULL
);
CREATE TABLE sig_day (
  day              date NOT NULL,
  product          int NOT NULL,
  signature        int NOT NULL,
  version          int NOT NULL,
  release_channel  int NOT NULL,
  platform         int NOT NULL,
  process_type     int NOT NULL,
  report_type      int NOT NULL,
  n                int NOT NULL,
  n_startup        int NOT NULL,                -- startup_crash
  n_gc             int NOT NULL,                -- is_garbage_collecting
  n_early          int NOT NULL,                -- uptime below 60 s
  PRIMARY KEY (day, product, signature, version, release_channel, platform, process_type,
               report_type)
);
CREATE TABLE ver_day (
  day              date NOT NULL,
  product          int NOT NULL,
  version          int NOT NULL,
  release_channel  int NOT NULL,
  platform         int NOT NULL,
  process_type     int NOT NULL,
  report_type      int NOT NULL,
  n                int NOT NULL,
  PRIMARY KEY (day, product, version, release_channel, platform, process_type, report_type)
);
CREATE TABLE build_day (
  day              date NOT NULL,
  product          int NOT NULL,
  version          int NOT NULL,
  release_channel  int NOT NULL,
  build            bigint NOT NULL,
  n                int NOT NULL,
  first            timestamptz NOT NULL,
  last             timestamptz NOT NULL,
  PRIMARY KEY (day, product, version, release_channel, build)
);

-- Appends only: writers never wait for each other. What has not committed yet stays for later.
CREATE FUNCTION crash_touch_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO day_touched SELECT DISTINCT (date AT TIME ZONE 'UTC')::date FROM touched;
  RETURN NULL;
END $$;
CREATE TRIGGER crash_came AFTER INSERT ON crash REFERENCING NEW TABLE AS touched
  FOR EACH STATEMENT EXECUTE FUNCTION crash_touch_days();
CREATE TRIGGER crash_went AFTER DELETE ON crash REFERENCING OLD TABLE AS touched
  FOR EACH STATEMENT EXECUTE FUNCTION crash_touch_days();
INSERT INTO day_touched SELECT DISTINCT (date AT TIME ZONE 'UTC')::date FROM crash;

-- What a signature's crashes have in common that others of the channel have not.
CREATE TABLE correlation_run (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  product  text NOT NULL,
  channel  text NOT NULL,
  day      date NOT NULL,                       -- the window ends before this day
  days     int NOT NULL,
  total    bigint NOT NULL,                     -- crashes looked at
  share    double precision NOT NULL,           -- of all in the window; below 1: a sample
  UNIQUE (product, channel, day)
);
CREATE TABLE correlation_group (
  run        bigint NOT NULL REFERENCES correlation_run ON DELETE CASCADE,
  number     int NOT NULL,                      -- 1 has the most crashes
  signature  text NOT NULL,
  sha1       text NOT NULL,
  total      bigint NOT NULL,
  results    jsonb NOT NULL,                    -- best first
  PRIMARY KEY (run, number)
);
CREATE INDEX correlation_group_sha1 ON correlation_group (sha1);
