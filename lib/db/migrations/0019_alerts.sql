-- Saved searches, and alerts that watch them (docs/alerts.md).

CREATE TABLE saved_search (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key      text COLLATE "C" NOT NULL UNIQUE,       -- random; its link /search/saved/KEY/
  owner    bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  name     text NOT NULL CHECK (name <> ''),
  query    text NOT NULL,                          -- "product=A&signature=~b": of /search/
  shared   boolean NOT NULL DEFAULT false,         -- stands in the list of the others, too
  created  timestamptz NOT NULL DEFAULT now(),
  changed  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX saved_search_name ON saved_search (owner, lower(name));

CREATE TABLE alert (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  search     bigint NOT NULL REFERENCES saved_search ON DELETE CASCADE,
  name       text NOT NULL CHECK (name <> ''),
  kind       smallint NOT NULL CHECK (kind BETWEEN 0 AND 4), -- count, nth, rate, new, spike
  threshold  double precision NOT NULL,            -- crashes; N; crashes an hour; crashes; times
  minimum    int NOT NULL DEFAULT 0,               -- spike: crashes below this are none
  span       int NOT NULL,                         -- seconds that are looked at
  quiet      int NOT NULL,                         -- seconds between two alarms at least
  way        smallint NOT NULL CHECK (way IN (0, 1)), -- 0 web hook, 1 mail
  target     text NOT NULL,                        -- the web hook's name; an address
  paused     boolean NOT NULL DEFAULT false,
  created    timestamptz NOT NULL DEFAULT now(),
  -- what it knows
  ready      boolean NOT NULL DEFAULT false,       -- its first look is done (new, nth)
  looked     timestamptz,
  value      double precision,                     -- of the last look
  usual      double precision,                     -- spike: of its history
  error      text,                                 -- of the last look; NULL: none
  last_alarm timestamptz,
  mark       timestamptz,                          -- nth: everything before it is in counted
  counted    bigint NOT NULL DEFAULT 0,
  reached    bigint NOT NULL DEFAULT 0             -- nth: the last multiple that was told
);
CREATE INDEX alert_search ON alert (search);

-- new: the signatures that the search has had.
CREATE TABLE alert_known (
  alert      bigint NOT NULL REFERENCES alert ON DELETE CASCADE,
  signature  uuid NOT NULL,                        -- md5
  seen       date NOT NULL,
  PRIMARY KEY (alert, signature)
);

-- What was told. A web hook goes by the outbox; a mail waits here for its command.
CREATE TABLE alert_event (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  alert     bigint NOT NULL REFERENCES alert ON DELETE CASCADE,
  at        timestamptz NOT NULL DEFAULT now(),
  test      boolean NOT NULL DEFAULT false,
  way       smallint NOT NULL,
  target    text NOT NULL,
  body      jsonb NOT NULL,
  state     smallint NOT NULL DEFAULT 0,           -- 0 waits, 1 handed over, 2 failed
  attempts  smallint NOT NULL DEFAULT 0,
  run_after timestamptz NOT NULL DEFAULT now(),
  error     text
);
CREATE INDEX alert_event_alert ON alert_event (alert, id);
CREATE INDEX alert_event_waits ON alert_event (run_after) WHERE state = 0;
