/*
 * SystemInfo and LinuxCpuInfo: operating system, processor, and the texts a report shows of them.
 */
#include "minidump/minidump_private.h"

#include <apr_strings.h>
#include <stdio.h>
#include "base/text.h"

enum { SYSTEM_INFO_SIZE = 56 };

static const struct {
    uint16_t arch;
    sal_cpu_t cpu;
} archs[] = {
    { 0, SAL_CPU_X86 },          { 1, SAL_CPU_MIPS },        { 3, SAL_CPU_PPC },
    { 5, SAL_CPU_ARM },          { 9, SAL_CPU_AMD64 },       { 10, SAL_CPU_X86 },
    { 12, SAL_CPU_ARM64 },       { 0x8001, SAL_CPU_SPARC },  { 0x8002, SAL_CPU_PPC64 },
    { 0x8003, SAL_CPU_ARM64 },   { 0x8004, SAL_CPU_MIPS64 }, { 0x8005, SAL_CPU_RISCV },
    { 0x8006, SAL_CPU_RISCV64 },
};

static const struct {
    uint32_t platform;
    sal_os_t os;
    const char *name;
} platforms[] = {
    { 2, SAL_OS_WINDOWS, "Windows NT" },   { 3, SAL_OS_WINDOWS, "Windows NT" },
    { 0x8101, SAL_OS_MACOS, "Mac OS X" },  { 0x8102, SAL_OS_IOS, "iOS" },
    { 0x8201, SAL_OS_LINUX, "Linux" },     { 0x8202, SAL_OS_SOLARIS, "Solaris" },
    { 0x8203, SAL_OS_ANDROID, "Android" }, { 0x8204, SAL_OS_PS3, "PS3" },
    { 0x8205, SAL_OS_NACL, "NaCl" },
};

static const struct {
    uint8_t id;
    const char *name;
} arm_vendors[] = {
    { 0x41, "ARM" },
    { 0x51, "Qualcomm" },
    { 0x56, "Marvell" },
    { 0x69, "Intel/Marvell" },
};

static const struct {
    uint32_t id;
    const char *name;
} arm_parts[] = {
    { 0x4100c050, "Cortex-A5" },    { 0x4100c080, "Cortex-A8" }, { 0x4100c090, "Cortex-A9" },
    { 0x4100c0f0, "Cortex-A15" },   { 0x4100c140, "Cortex-R4" }, { 0x4100c150, "Cortex-R5" },
    { 0x4100b360, "ARM1136" },      { 0x4100b560, "ARM1156" },   { 0x4100b760, "ARM1176" },
    { 0x4100b020, "ARM11-MPCore" }, { 0x41009260, "ARM926" },    { 0x41009460, "ARM946" },
    { 0x41009660, "ARM966" },       { 0x510006f0, "Krait" },     { 0x510000f0, "Scorpion" },
};

static const char *const arm_features[] = {
    /* by bit of elf_hwcaps */
    "swp",    "half",    "thumb", "26bit", "fastmult", "fpa", "vfpv2", "edsp",  "java",  "iwmmxt",
    "crunch", "thumbee", "neon",  "vfpv3", "vfpv3d16", "tls", "vfpv4", "idiva", "idivt",
};

static const char *arm_feature_list(uint32_t hwcaps, apr_pool_t *p)
{
    const char *text = "";

    for (size_t bit = 0; bit < sizeof(arm_features) / sizeof(arm_features[0]); bit++) {
        if (hwcaps & (1u << bit)) {
            text = apr_pstrcat(p, text, *text ? "," : " features: ", arm_features[bit], NULL);
        }
    }
    return text;
}

static const char *arm_model(uint32_t cpuid, apr_pool_t *p)
{
    uint32_t part_id = cpuid & 0xff00fff0;
    const char *vendor = apr_psprintf(p, " vendor(0x%x)", cpuid >> 24);
    const char *part = apr_psprintf(p, " part(0x%x)", part_id);

    for (size_t i = 0; i < sizeof(arm_vendors) / sizeof(arm_vendors[0]); i++) {
        if (arm_vendors[i].id == cpuid >> 24) {
            vendor = apr_pstrcat(p, " ", arm_vendors[i].name, NULL);
        }
    }
    for (size_t i = 0; i < sizeof(arm_parts) / sizeof(arm_parts[0]); i++) {
        if (arm_parts[i].id == part_id) {
            part = apr_pstrcat(p, " ", arm_parts[i].name, NULL);
        }
    }
    return apr_pstrcat(p, vendor, part, NULL);
}

static const char *arm_info(sal_minidump_t *md, const sal_span_t *s)
{
    uint32_t cpuid = md_u32(s, 32);

    return apr_psprintf(md->pool, "ARMv%u%s%s", md->system.level,
                        cpuid ? arm_model(cpuid, md->pool) : "",
                        arm_feature_list(md_u32(s, 36), md->pool));
}

static const char *intel_info(sal_minidump_t *md, const sal_span_t *s)
{
    const sal_md_system_t *sys = &md->system;
    const char *vendor = "";

    if (sys->cpu == SAL_CPU_X86) {
        /* three words of text: bytes of the register values, whatever order the file has */
        char text[13] = "";

        for (int i = 0; i < 12; i++) {
            text[i] = (char)(md_u32(s, 32 + (uint64_t)(i / 4) * 4) >> (8 * (i % 4)));
        }
        if (*text) {
            vendor = apr_pstrcat(md->pool, sal_utf8_clean(text, strlen(text), md->pool), " ", NULL);
        }
    }
    return apr_psprintf(md->pool, "%sfamily %u model %u stepping %u", vendor, sys->level,
                        sys->revision >> 8 & 0xff, sys->revision & 0xff);
}

static const char *cpu_info(sal_minidump_t *md, const sal_span_t *s)
{
    switch (md->system.cpu) {
    case SAL_CPU_X86:
    case SAL_CPU_AMD64:
        return intel_info(md, s);
    case SAL_CPU_ARM:
        return arm_info(md, s);
    default:
        return NULL;
    }
}

/* The csd of Linux writers is `uname -srvmo`: version and build are cut out of it. */
static const char *uname_version(const char *csd, apr_pool_t *p)
{
    char *parts[128];
    size_t n = 0, end;
    char *rest = apr_pstrdup(p, csd), *build;

    while (n < sizeof(parts) / sizeof(parts[0])) {
        parts[n++] = rest;
        if (!(rest = strchr(rest, ' '))) {
            break;
        }
        *rest++ = '\0';
    }
    if (rest || n < 2 || !*parts[1] || !strcmp(parts[1], "0.0.0")) {
        return NULL;
    }
    end = n - 1;
    if (!strcmp(parts[n - 1], "Linux/GNU") && end) {
        end--;
    }
    build = apr_pstrdup(p, parts[1]);
    for (size_t i = 2; i < end; i++) {
        build = apr_pstrcat(p, build, " ", parts[i], NULL);
    }
    return build;
}

static const char *trimmed(const char *s, apr_pool_t *p)
{
    size_t n;

    s += strspn(s, " \t\r\n\f\v");
    n = strlen(s);
    while (n && strchr(" \t\r\n\f\v", s[n - 1])) {
        n--;
    }
    return apr_pstrndup(p, s, n);
}

static const char *os_version(sal_minidump_t *md)
{
    const sal_md_system_t *sys = &md->system;
    const char *csd = trimmed(sys->csd, md->pool), *text = NULL;

    if (sys->os == SAL_OS_LINUX && !sys->major && !sys->minor && !sys->build) {
        text = uname_version(csd, md->pool);
    }
    return text ? text
                : apr_psprintf(md->pool, "%u.%u.%u%s%s", sys->major, sys->minor, sys->build,
                               *csd ? " " : "", csd);
}

static void name_platform(sal_minidump_t *md)
{
    sal_md_system_t *sys = &md->system;

    for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
        if (archs[i].arch == sys->arch) {
            sys->cpu = archs[i].cpu;
        }
    }
    sys->cpu_name = sal_cpu_desc(sys->cpu)->name;
    for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++) {
        if (platforms[i].platform == sys->platform) {
            sys->os = platforms[i].os;
            sys->os_name = platforms[i].name;
        }
    }
    if (sys->os == SAL_OS_UNKNOWN) {
        sys->os_name = apr_psprintf(md->pool, "0x%08x", sys->platform);
    }
}

static void read_microcode(sal_minidump_t *md)
{
    sal_span_t text;
    md_line_t line;
    uint64_t v;

    if (!sal_minidump_stream(md, SAL_STREAM_LINUX_CPU_INFO, &text)) {
        return;
    }
    for (size_t pos = 0; md_next_line(&text, ':', &pos, &line);) {
        if (line.key_len == 9 && !memcmp(line.key, "microcode", 9)) {
            if (line.value_len > 2 && !memcmp(line.value, "0x", 2) &&
                sal_parse_hex(line.value + 2, line.value_len - 2, &v)) {
                md->system.microcode = apr_psprintf(md->pool, "0x%" APR_UINT64_T_HEX_FMT, v);
            }
            return; /* every core repeats it */
        }
    }
}

void md_read_system(sal_minidump_t *md)
{
    sal_md_system_t *sys = &md->system;
    sal_span_t s;
    uint32_t csd;

    sys->csd = "";
    sys->cpu_name = sys->os_name = "unknown";
    if (!sal_minidump_stream(md, SAL_STREAM_SYSTEM_INFO, &s) ||
        !sal_span_has(&s, 0, SYSTEM_INFO_SIZE)) {
        return;
    }
    sys->present = true;
    sys->arch = md_u16(&s, 0);
    sys->level = md_u16(&s, 2);
    sys->revision = md_u16(&s, 4);
    sal_span_u8(&s, 6, &sys->cpu_count);
    sal_span_u8(&s, 7, &sys->product_type);
    sys->major = md_u32(&s, 8);
    sys->minor = md_u32(&s, 12);
    sys->build = md_u32(&s, 16);
    sys->platform = md_u32(&s, 20);
    if ((csd = md_u32(&s, 24))) {
        const char *text = md_utf16_at(md, csd);

        sys->csd = text ? text : "";
    }
    name_platform(md);
    sys->os_version = os_version(md);
    sys->cpu_info = cpu_info(md, &s);
    read_microcode(md);
}
