-- Bookkeeping of symbols: rights of people, lists that page quickly, retention.

INSERT INTO groups (name, permissions) VALUES
  ('Uploaders', 3),                             -- upload_symbols, upload_try_symbols
  ('Upload Auditors', 512),                     -- view_all_uploads
  ('Token Users', 1024),                        -- manage_tokens
  ('Administrators', 256)                       -- admin
ON CONFLICT (name) DO NOTHING;

-- What forms are signed with, the same for all hosts of an installation.
CREATE TABLE web_secret (
  one     boolean PRIMARY KEY DEFAULT true CHECK (one),
  secret  bytea NOT NULL CHECK (length(secret) = 32)
);
INSERT INTO web_secret (secret)
  VALUES (sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));

-- Lists: newest first, over a million rows, with the filters of the API.
DROP INDEX symbol_file_created;
CREATE INDEX symbol_file_listed ON symbol_file (created_at DESC, id DESC);
CREATE INDEX symbol_file_try ON symbol_file (created_at DESC, id DESC) WHERE is_try;
CREATE INDEX symbol_file_history ON symbol_file (debug_id, debug_file, leaf);
CREATE INDEX symbol_file_size ON symbol_file (stored_size);
CREATE INDEX symbol_file_text ON symbol_file
  USING gin (lower(debug_file || '/' || debug_id || '/' || leaf) gin_trgm_ops);
CREATE INDEX symbol_file_release ON symbol_file (product, version, channel)
  WHERE product <> '' OR version <> '' OR channel <> '';
DROP INDEX symbol_upload_created;
CREATE INDEX symbol_upload_listed ON symbol_upload (created_at DESC, id DESC);
CREATE INDEX symbol_upload_size ON symbol_upload (archive_size);
CREATE INDEX symbol_upload_same ON symbol_upload (archive_sha256);

-- Retention. A blob goes when no row names it.
ALTER TABLE symbol_file ADD COLUMN renewed_at timestamptz;  -- last sent again with equal content
CREATE INDEX symbol_file_blob ON symbol_file (stored_sha256);

-- Files that an upload skipped, as they were there, count as sent now. If one was deleted between
-- the comparison and the record, the record fails and the client sends again. The row lock orders
-- this with retention, which holds the row while it removes the file.
CREATE FUNCTION symbol_upload_renew() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  lost text;
BEGIN
  WITH skipped AS (
    SELECT key, split_part(key, '/', 1) AS f, upper(split_part(key, '/', 2)) AS i,
           split_part(key, '/', 3) AS l
    FROM unnest(NEW.skipped_keys) AS key),
  renewed AS (
    UPDATE symbol_file s SET renewed_at = now() FROM skipped, symbol_key k
    WHERE k.debug_id = skipped.i AND k.debug_file = skipped.f AND k.leaf = skipped.l
      AND (NEW.is_try OR NOT k.is_try) AND s.id = k.file_id
    RETURNING skipped.key)
  SELECT key INTO lost FROM skipped WHERE key NOT IN (SELECT key FROM renewed) LIMIT 1;
  IF lost IS NOT NULL THEN
    RAISE EXCEPTION 'symbols % were deleted while they were sent; send them again', lost
      USING ERRCODE = 'serialization_failure';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER symbol_upload_renew AFTER INSERT OR UPDATE OF skipped_keys ON symbol_upload
  FOR EACH ROW WHEN (cardinality(NEW.skipped_keys) > 0) EXECUTE FUNCTION symbol_upload_renew();
