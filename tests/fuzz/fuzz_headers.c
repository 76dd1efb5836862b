/*
 * Content-Type of a request (the first line) and the header block of a part (the rest): what comes
 * out is bounded, and text where text is promised.
 */
#include "fuzz_collect.h"
#include "crash/form_type.h"
#include "crash/part_header.h"

static void try_type(const char *header)
{
    char boundary[SAL_MULTIPART_BOUNDARY_MAX + 1] = "";

    if (sal_form_type_read(header, boundary) == SAL_FORM_GOOD) {
        must(strlen(boundary) >= 1 && strlen(boundary) <= SAL_MULTIPART_BOUNDARY_MAX);
        must(boundary[strlen(boundary) - 1] != ' ');
    }
    sal_form_type_is(header, "application/x-dmp");
}

static void try_block(const char *block, size_t size)
{
    sal_part_header_t header;
    char *room;

    if (size > SAL_PART_HEADER_MAX) {
        return;
    }
    room = malloc(SAL_PART_HEADER_ROOM(size));
    if (sal_part_header_read(&header, room, block, size, NULL) != APR_SUCCESS) {
        free(room);
        return;
    }
    must(!header.part.name || sal_utf8_valid(header.part.name, strlen(header.part.name)));
    must(!header.part.filename ||
         sal_utf8_valid(header.part.filename, strlen(header.part.filename)));
    must(sal_utf8_valid(header.part.type, strlen(header.part.type)));
    must(strlen(header.part.charset) < sizeof(header.charset));
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t first = line ? (size_t)(line - data) : size, rest = line ? size - first - 1 : 0;
    char *type = calloc(1, first + 1), *block = malloc(rest + !rest);

    if (size) {
        memcpy(type, data, first);
        memcpy(block, line ? line + 1 : data, rest);
    }
    try_type(type);
    try_block(block, rest);
    free(type);
    free(block);
    return 0;
}
