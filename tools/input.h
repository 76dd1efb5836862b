/*
 * Standard input, or a file, as a whole.
 */
#ifndef TOOLS_INPUT_H
#define TOOLS_INPUT_H

#include <stddef.h>
#include <apr_pools.h>

/* All of standard input, malloc'd and NUL-terminated, for the caller to free. CMD_FAILED, after
 * saying so, if it is longer than `most` bytes, cannot be read, or does not fit into memory. */
int tool_read_input(char **text, size_t *size, size_t most);

/*
 * Arguments in which "-" stands for standard input: a getopt would take it for an option. For
 * commands whose options have no such value.
 */
const char **tool_stdin_args(int argc, const char **argv, apr_pool_t *p);

/* A file as a whole, or standard input where path was "-"; of 256 MiB at most, from p. */
int tool_read_file(char **text, size_t *size, const char *path, apr_pool_t *p);

#endif
