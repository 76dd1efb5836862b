/*
 * Modules as text, loaded and unloaded, with what their debug records say.
 */
#include "minidump/print_private.h"

#include <inttypes.h>

enum { MODULE_SIZE = 108, UNLOADED_HEADER = 12, UNLOADED_SIZE = 24, CV_AT = 76, GUID_SIZE = 32 };
enum { CV_PDB70 = 0x53445352, CV_PDB20 = 0x3031424e, CV_ELF = 0x4270454c };

static const md_field_t module_fields[] = {
    { "base_of_image", 0, 8, MD_HEX },
    { "size_of_image", 8, 4, MD_HEX },
    { "checksum", 12, 4, MD_HEX },
    { "time_date_stamp", 16, 4, MD_TIME },
    { "module_name_rva", 20, 4, MD_HEX },
    { "version_info.signature", 24, 4, MD_HEX },
    { "version_info.struct_version", 28, 4, MD_HEX },
    { "version_info.file_version", 32, 4, MD_PAIR },
    { "version_info.product_version", 40, 4, MD_PAIR },
    { "version_info.file_flags_mask", 48, 4, MD_HEX },
    { "version_info.file_flags", 52, 4, MD_HEX },
    { "version_info.file_os", 56, 4, MD_HEX },
    { "version_info.file_type", 60, 4, MD_HEX },
    { "version_info.file_subtype", 64, 4, MD_HEX },
    { "version_info.file_date", 68, 4, MD_PAIR },
    { "cv_record.data_size", 76, 4, MD_DECIMAL },
    { "cv_record.rva", 80, 4, MD_HEX },
    { "misc_record.data_size", 84, 4, MD_DECIMAL },
    { "misc_record.rva", 88, 4, MD_HEX },
    { NULL, 0, 0, 0 },
};
static const md_field_t unloaded_fields[] = {
    { "base_of_image", 0, 8, MD_HEX },    { "size_of_image", 8, 4, MD_HEX },
    { "checksum", 12, 4, MD_HEX },        { "time_date_stamp", 16, 4, MD_TIME },
    { "module_name_rva", 20, 4, MD_HEX }, { NULL, 0, 0, 0 },
};

static void print_label(const md_print_t *p, const char *label)
{
    fprintf(p->f, "  %-31s = ", label);
}

static void print_guid(const md_print_t *p, const sal_span_t *s, uint64_t at)
{
    fprintf(p->f, "%08x-%04x-%04x-", md_u32(s, at), md_u16(s, at + 4), md_u16(s, at + 6));
    for (uint64_t i = 0; i < 8; i++) {
        fprintf(p->f, "%s%02x", i == 2 ? "-" : "", (unsigned)md_number(s, at + 8 + i, 1));
    }
}

static void print_pdb_name(const md_print_t *p, const sal_span_t *cv, uint64_t at)
{
    sal_span_t name;
    const char *text =
        sal_span_sub(cv, at, cv->size - at, &name) ? md_bytes_text(p->md, &name) : NULL;

    print_label(p, "(cv_record).pdb_file_name");
    fprintf(p->f, "\"%s\"\n", text ? text : "(invalid)");
}

static void print_pdb70(const md_print_t *p, const sal_span_t *cv)
{
    print_label(p, "(cv_record).cv_signature");
    fprintf(p->f, "0x%x\n", md_u32(cv, 0));
    print_label(p, "(cv_record).signature");
    print_guid(p, cv, 4);
    fputc('\n', p->f);
    print_label(p, "(cv_record).age");
    fprintf(p->f, "%u\n", md_u32(cv, 20));
    print_pdb_name(p, cv, 24);
}

static void print_pdb20(const md_print_t *p, const sal_span_t *cv)
{
    static const md_field_t fields[] = {
        { "(cv_record).cv_header.signature", 0, 4, MD_HEX },
        { "(cv_record).cv_header.offset", 4, 4, MD_HEX },
        { "(cv_record).signature", 8, 4, MD_TIME },
        { "(cv_record).age", 12, 4, MD_DECIMAL },
        { NULL, 0, 0, 0 },
    };

    md_print_fields(p->f, cv, fields, 31);
    print_pdb_name(p, cv, 16);
}

static void print_elf(const md_print_t *p, const sal_span_t *cv)
{
    sal_span_t id;

    sal_span_sub(cv, 4, cv->size - 4, &id);
    print_label(p, "(cv_record).cv_signature");
    fprintf(p->f, "0x%x\n", md_u32(cv, 0));
    print_label(p, "(cv_record).build_id");
    md_print_hex(p->f, &id);
    fputc('\n', p->f);
}

static void print_cv(const md_print_t *p, const sal_span_t *s)
{
    sal_span_t cv;
    uint32_t kind;

    if (md_u32(s, CV_AT) == 0 || !md_location(p->md, s, CV_AT, &cv) ||
        !sal_span_u32(&cv, 0, &kind)) {
        print_label(p, "(cv_record)");
        fputs("(null)\n", p->f);
    } else if (kind == CV_PDB70 && cv.size >= 24) {
        print_pdb70(p, &cv);
    } else if (kind == CV_PDB20 && cv.size >= 16) {
        print_pdb20(p, &cv);
    } else if (kind == CV_ELF) {
        print_elf(p, &cv);
    } else {
        print_label(p, "(cv_record)");
        md_print_hex(p->f, &cv);
        fputc('\n', p->f);
    }
}

/* Ids of 32 digits have the dashes of a GUID; an age of 0 is left out. */
static void print_debug_id(const md_print_t *p, const char *id)
{
    size_t len = strlen(id);

    print_label(p, "(debug_identifier)");
    fputc('"', p->f);
    if (len == 0) {
        fputs("00000000-0000-0000-0000-000000000000", p->f);
    } else if (len <= GUID_SIZE) {
        fprintf(p->f, "%.8s-%s", id, id + 8);
    } else {
        for (size_t i = 0; i < GUID_SIZE; i++) {
            bool dash = i == 8 || i == 12 || i == 16 || i == 20;

            fprintf(p->f, "%s%c", dash ? "-" : "",
                    id[i] >= 'A' && id[i] <= 'F' ? id[i] + 32 : id[i]);
        }
        if (strcmp(id + GUID_SIZE, "0") != 0) {
            fprintf(p->f, "-%s", id + GUID_SIZE);
        }
    }
    fputs("\"\n", p->f);
}

static void print_text(const md_print_t *p, const char *label, const char *text)
{
    print_label(p, label);
    fprintf(p->f, "\"%s\"\n", text ? text : "");
}

static void print_module(const md_print_t *p, const sal_span_t *s, const sal_md_module_t *m)
{
    fputs("MINIDUMP_MODULE\n", p->f);
    md_print_fields(p->f, s, module_fields, 31);
    print_text(p, "(code_file)", m ? m->name : md_utf16_at(p->md, md_u32(s, 20)));
    print_text(p, "(code_identifier)", m ? m->code_id : NULL);
    print_cv(p, s);
    print_label(p, "(misc_record)");
    fputs(md_u32(s, 84) ? "(unimplemented)\n" : "(null)\n", p->f);
    print_text(p, "(debug_file)", m ? m->debug_file : NULL);
    print_debug_id(p, m ? m->debug_id : "");
    print_text(p, "(version)", m ? m->version : NULL);
    fputc('\n', p->f);
}

/* The decoder's list has the modules in this order, but not those without a place. */
void md_print_modules(const md_print_t *p)
{
    md_list_t list;
    size_t next = 0;

    if (!md_list(p->md, SAL_STREAM_MODULE_LIST, MODULE_SIZE, MD_MAX_MODULES, &list)) {
        return;
    }
    fprintf(p->f, "MinidumpModuleList\n  module_count = %u\n\n", list.count);
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);
        md_range_t unused;
        bool kept = md_range_set(&unused, md_u64(&s, 0), md_u32(&s, 8), i);

        fprintf(p->f, "module[%u]\n", i);
        print_module(p, &s, kept && next < p->md->n_modules ? &p->md->modules[next] : NULL);
        next += kept;
    }
}

void md_print_unloaded(const md_print_t *p)
{
    md_list_t list;

    if (!md_list_ext(p->md, SAL_STREAM_UNLOADED_MODULE_LIST, UNLOADED_HEADER, UNLOADED_SIZE,
                     MD_MAX_UNLOADED, &list)) {
        return;
    }
    fprintf(p->f, "MinidumpUnloadedModuleList\n  module_count = %u\n\n", list.count);
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);
        char id[32];

        snprintf(id, sizeof(id), "%08x%x", md_u32(&s, 16), md_u32(&s, 8));
        fprintf(p->f, "module[%u]\nMINIDUMP_UNLOADED_MODULE\n", i);
        md_print_fields(p->f, &s, unloaded_fields, 31);
        print_text(p, "(code_file)", md_utf16_at(p->md, md_u32(&s, 20)));
        print_text(p, "(code_identifier)", id);
    }
}
