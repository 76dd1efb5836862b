-- People, groups and API tokens. Permissions are the bits of enum sal_permission (lib/db/token.h).

CREATE TABLE users (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name     text NOT NULL CHECK (name <> ''),      -- what httpd calls r->user, usually an address
  active   boolean NOT NULL DEFAULT true,
  created  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_name ON users (lower(name));

CREATE TABLE groups (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name         text NOT NULL UNIQUE CHECK (name <> ''),
  permissions  int NOT NULL DEFAULT 0
);

CREATE TABLE group_member (
  group_id  bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
  user_id   bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_member_user ON group_member (user_id);

CREATE TABLE api_token (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hash         bytea NOT NULL UNIQUE CHECK (length(hash) = 32),  -- SHA-256 of the token's text
  prefix       char(8) NOT NULL,                  -- its first characters, to tell tokens apart
  user_id      bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  permissions  int NOT NULL,
  notes        text NOT NULL DEFAULT '',
  created      timestamptz NOT NULL DEFAULT now(),
  expires      timestamptz,                       -- null: never
  revoked      timestamptz,
  last_used    timestamptz                        -- to the minute
);
CREATE INDEX api_token_user ON api_token (user_id);

-- Who changed rights, when. Never holds a token or crash data.
CREATE TABLE audit_log (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at      timestamptz NOT NULL DEFAULT now(),
  actor   text NOT NULL,                          -- user name, or 'salvage' for the command
  action  text NOT NULL,                          -- token.create, token.revoke ...
  target  text NOT NULL,
  detail  text NOT NULL DEFAULT ''
);
CREATE INDEX audit_log_at ON audit_log (at);
