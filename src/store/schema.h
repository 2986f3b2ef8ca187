/* schema.h - the files of sql/ as strings, made by sql/embed. */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

extern const char schema_0001_index[];
extern const char schema_0002_index[];
extern const char schema_0003_index[];
extern const char schema_0004_index[];
extern const char schema_0005_index[];
extern const char schema_0006_index[];
extern const char schema_0006_down[];
extern const char schema_0001_trace[];

#endif
