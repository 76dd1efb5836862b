-- The life of a signature (docs/triage.md): notes, who looks after it, until when it is ignored; of
-- what is fixed, whether it has come back.

-- Fixed crashes are those that clients are told of: hint_fixed says so for both.
ALTER TABLE hint_fixed
  ADD COLUMN checked timestamptz,               -- until when crashes were looked at
  ADD COLUMN regressed timestamptz,             -- date of the first crash of such a version after it
  ADD COLUMN regressed_version text,
  ADD COLUMN regressed_crash char(36),
  ADD CHECK ((regressed IS NULL) = (regressed_version IS NULL)),
  ADD CHECK ((regressed IS NULL) = (regressed_crash IS NULL)),
  DROP CONSTRAINT hint_fixed_pkey;
-- any length: a btree on the text would fail above 2.7 kB
CREATE UNIQUE INDEX hint_fixed_key ON hint_fixed ((md5(signature)::uuid), product);

CREATE TABLE signature_state (
  signature      text COLLATE "C" NOT NULL,
  ignored_until  timestamptz,                   -- infinity: for good
  assignee       text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX signature_state_key ON signature_state ((md5(signature)::uuid));

CREATE TABLE signature_note (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  signature  text COLLATE "C" NOT NULL,
  at         timestamptz NOT NULL DEFAULT now(),
  who        text NOT NULL,
  note       text NOT NULL
);
CREATE INDEX signature_note_key ON signature_note ((md5(signature)::uuid), id);

-- What was done to a signature stands on its page.
CREATE INDEX audit_log_signature ON audit_log ((md5(target)::uuid), id)
  WHERE action LIKE 'signature.%';
