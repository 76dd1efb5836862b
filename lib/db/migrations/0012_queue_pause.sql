-- A row: no daemon claims jobs of this lane (crash_job.queue) until the row is deleted.
CREATE TABLE queue_pause (
  lane   smallint PRIMARY KEY CHECK (lane BETWEEN 0 AND 2),
  since  timestamptz NOT NULL DEFAULT now(),
  reason text
);
