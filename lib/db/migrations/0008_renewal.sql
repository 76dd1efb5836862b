-- A list of skipped keys grows piece by piece; only the piece that came is renewed, not each time
-- all that stood there before.

CREATE OR REPLACE FUNCTION symbol_upload_renew() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  lost text;
  fresh text[] := NEW.skipped_keys;
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.skipped_keys[1:cardinality(OLD.skipped_keys)] = OLD.skipped_keys THEN
    fresh := NEW.skipped_keys[cardinality(OLD.skipped_keys) + 1:];
  END IF;
  WITH skipped AS (
    SELECT key, split_part(key, '/', 1) AS f, upper(split_part(key, '/', 2)) AS i,
           split_part(key, '/', 3) AS l
    FROM unnest(fresh) AS key),
  renewed AS (
    UPDATE symbol_file s SET renewed_at = now() FROM skipped, symbol_key k
    WHERE k.debug_id = skipped.i AND k.debug_file = skipped.f AND k.leaf = skipped.l
      AND (NEW.is_try OR NOT k.is_try) AND s.id = k.file_id
    RETURNING skipped.key)
  SELECT key INTO lost FROM (SELECT key FROM skipped EXCEPT SELECT key FROM renewed) gone LIMIT 1;
  IF lost IS NOT NULL THEN
    RAISE EXCEPTION 'symbols % were deleted while they were sent; send them again', lost
      USING ERRCODE = 'serialization_failure';
  END IF;
  RETURN NULL;
END $$;
