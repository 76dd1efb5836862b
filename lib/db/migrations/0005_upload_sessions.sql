-- Uploads that go on in several requests, and which upload API a token's clients shall use.

CREATE TABLE symbol_session (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  secret        bytea NOT NULL UNIQUE CHECK (length(secret) = 32),  -- SHA-256 of the id in its URL
  kind          text NOT NULL CHECK (kind IN ('zip', 'file', 'sym-upload')),
  token_id      bigint NOT NULL,
  user_id       bigint,                     -- no reference: an account may go before its upload
  user_name     text NOT NULL,
  address       text,                       -- of the client that began it
  is_try        boolean NOT NULL,
  upload_id     bigint REFERENCES symbol_upload ON DELETE CASCADE,
  name          text NOT NULL,              -- key of a file, name of an archive
  size          bigint,                     -- of the original, as announced
  md5           bytea,
  length        bigint,                     -- of the body, once known
  received      bigint NOT NULL DEFAULT 0,  -- at the end of the last request; the file decides
  created_at    timestamptz NOT NULL DEFAULT now(),
  expires_at    timestamptz NOT NULL,
  completed_at  timestamptz
);
CREATE INDEX symbol_session_token ON symbol_session (token_id, id);
CREATE INDEX symbol_session_upload ON symbol_session (upload_id);
CREATE INDEX symbol_session_expires ON symbol_session (expires_at);

ALTER TABLE api_token ADD COLUMN upload_api_version int NOT NULL DEFAULT 1
  CHECK (upload_api_version IN (1, 2));
