-- What administrators keep: messages on every page, groups of Crash Stats, exceptions from the audit
-- of people, platforms; who was shown protected data.

-- Permissions: view_pii 4, view_rawdump 8, run_custom_queries 16, run_long_queries 32,
-- reprocess_crashes 64, staff 2048.
INSERT INTO groups (name, permissions) VALUES
  ('Hackers', 108),
  ('Hackers Plus', 124),
  ('Staff', 2048)
ON CONFLICT (name) DO NOTHING;

CREATE TABLE status_message (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  severity  text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  message   text NOT NULL CHECK (message <> '' AND length(message) <= 2000),
  enabled   boolean NOT NULL DEFAULT true,
  created   timestamptz NOT NULL DEFAULT now()
);

-- People whom the job auditgroups leaves in their groups whatever their address.
CREATE TABLE policy_exception (
  user_id  bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  comment  text NOT NULL DEFAULT '' CHECK (length(comment) <= 2000),
  added    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE platform (
  name        text PRIMARY KEY CHECK (name <> ''),
  short_name  text NOT NULL UNIQUE CHECK (short_name <> '')
);
INSERT INTO platform (name, short_name) VALUES
  ('Windows', 'win'), ('Mac OS X', 'mac'), ('Linux', 'lin'), ('Android', 'and');

-- Paths without their queries: an address may hold what is protected.
CREATE TABLE protected_access (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at     timestamptz NOT NULL DEFAULT now(),
  actor  text NOT NULL,
  token  bigint,                                -- null: signed in
  what   text NOT NULL                          -- method and path
);
CREATE INDEX protected_access_at ON protected_access (at);
