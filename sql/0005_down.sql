-- From version 5 back to version 4, which knows bodies as they are only.
ALTER TABLE body DROP COLUMN stored;
