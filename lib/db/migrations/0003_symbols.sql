-- Symbols: uploads, the files they brought, the file each key stands for now, and what was asked
-- for in vain. Bytes are in the symbol store; these rows may be lost without losing a download.

CREATE TABLE symbol_upload (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id        bigint,                        -- no reference: the record outlives the account
  user_name      text NOT NULL,
  token_id       bigint,
  address        text,                          -- of the client
  archive_name   text NOT NULL,
  archive_size   bigint NOT NULL,               -- bytes received
  archive_sha256 bytea NOT NULL,
  unpacked_size  bigint NOT NULL,
  is_try         boolean NOT NULL,
  members        int NOT NULL,                  -- files in the archive
  stored         int NOT NULL,
  skipped_keys   text[] NOT NULL DEFAULT '{}',  -- same content was there
  ignored_keys   text[] NOT NULL DEFAULT '{}',
  warnings       text[] NOT NULL DEFAULT '{}',
  download_url   text,
  redirect_urls  text[] NOT NULL DEFAULT '{}',
  created_at     timestamptz NOT NULL,
  completed_at   timestamptz
);
CREATE INDEX symbol_upload_created ON symbol_upload (created_at DESC);
CREATE INDEX symbol_upload_user ON symbol_upload (user_id, created_at DESC);

-- One row for each file that an upload stored: history. Names as they were sent, ids upper-case.
CREATE TABLE symbol_file (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  upload_id      bigint REFERENCES symbol_upload ON DELETE SET NULL,
  is_try         boolean NOT NULL,
  debug_file     text NOT NULL,
  debug_id       text NOT NULL,
  leaf           text NOT NULL,
  kind           text NOT NULL CHECK (kind IN ('sym', 'pdb', 'pe', 'elf', 'elf_debug', 'macho',
                                               'dsym', 'source', 'other')),
  replaced       boolean NOT NULL,              -- another content was there
  size           bigint NOT NULL,               -- of the original
  stored_size    bigint NOT NULL,
  md5            bytea NOT NULL,                -- of the original
  sha256         bytea NOT NULL,                -- of the original
  stored_sha256  bytea NOT NULL,                -- name of the blob
  header_file    text,                          -- MODULE and INFO lines of a .sym, NULL if unreadable
  header_id      text,
  code_file      text,
  code_id        text,
  generator      text,
  os             text,
  arch           text,
  build_id       text,                          -- of an ELF module: its code id
  product        text,
  version        text,
  channel        text,
  build          text,
  keep_until     timestamptz,
  last_access    timestamptz,
  hits           bigint NOT NULL DEFAULT 0,
  created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX symbol_file_upload ON symbol_file (upload_id);
CREATE INDEX symbol_file_created ON symbol_file (created_at DESC);
CREATE INDEX symbol_file_code ON symbol_file (code_id, lower(code_file COLLATE "C"), id DESC)
  WHERE code_id <> '';
CREATE INDEX symbol_file_header ON symbol_file (header_id, lower(header_file COLLATE "C"), id DESC)
  WHERE header_id <> '';

-- The file that a key stands for now. Lower-case names as the store folds them: ASCII only.
CREATE TABLE symbol_key (
  is_try         boolean NOT NULL,
  debug_file     text NOT NULL,
  debug_id       text NOT NULL,
  leaf           text NOT NULL,
  file_id        bigint NOT NULL REFERENCES symbol_file ON DELETE CASCADE,
  debug_file_lc  text GENERATED ALWAYS AS (lower(debug_file COLLATE "C")) STORED,
  leaf_lc        text GENERATED ALWAYS AS (lower(leaf COLLATE "C")) STORED,
  PRIMARY KEY (debug_id, debug_file, leaf, is_try)
);
CREATE INDEX symbol_key_folded ON symbol_key (debug_id, debug_file_lc, leaf_lc);
CREATE INDEX symbol_key_file ON symbol_key (file_id);

-- Downloads that found nothing. hash is MD5 over the five texts; each is cut at 150 characters.
CREATE TABLE missing_symbol (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hash           bytea NOT NULL UNIQUE,
  debug_file     text NOT NULL,
  debug_id       text NOT NULL,
  leaf           text NOT NULL,
  code_file      text NOT NULL DEFAULT '',
  code_id        text NOT NULL DEFAULT '',
  count          bigint NOT NULL DEFAULT 1,
  created_at     timestamptz NOT NULL DEFAULT now(),
  modified_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX missing_symbol_modified ON missing_symbol (modified_at DESC);
