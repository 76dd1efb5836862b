-- The intake ledger: one row a POST, so that "my report vanished" has an answer (docs/operations.md).
-- Nothing of a client stands here but the family of its program.
CREATE TABLE intake_ledger (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  received  timestamptz NOT NULL,
  outcome   text COLLATE "C" NOT NULL,   -- accepted, rejected, faked, malformed, ...
  reason    text COLLATE "C" NOT NULL,   -- of a refusal, or the throttling rule
  status    smallint NOT NULL,           -- of the answer
  size      bigint NOT NULL,             -- bytes of the body that were read
  agent     text COLLATE "C" NOT NULL,
  crash_id  text COLLATE "C"             -- where one was given
);
CREATE INDEX intake_ledger_received ON intake_ledger (received);
CREATE INDEX intake_ledger_crash ON intake_ledger (crash_id) WHERE crash_id IS NOT NULL;
