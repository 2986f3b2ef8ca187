-- Bodies may lie squeezed in the log or in their blob (src/store/squeeze.h): in so many bytes; 0: as they are.
ALTER TABLE body ADD COLUMN stored BIGINT NOT NULL DEFAULT 0;
