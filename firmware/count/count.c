/* Counts the instructions that QEMU executes between two marker instructions of the guest, which do
 * nothing and no compiler emits: Thumb `mov r10, r10` begins, `mov r11, r11` ends a region. Writes one
 * line a region. For QEMU's TCG plugin interface, version 1; what it needs of that is declared here,
 * since distributions ship no header.
 *   cc -O2 -shared -fPIC -o libcount.so count.c
 *   qemu-system-arm ... -icount shift=10 -plugin /absolute/libcount.so,out=FILE */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct block;
struct instruction;
typedef uint64_t plugin_id;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct instruction *, int, void *, uint64_t);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct instruction *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
extern const void *qemu_plugin_insn_data(const struct instruction *);
extern size_t qemu_plugin_insn_size(const struct instruction *);

int qemu_plugin_version = 1;

static uint64_t executed, began;
static FILE *out;

static void begin(unsigned cpu, void *data) { began = executed; }
/* Neither marker counts. */
static void end(unsigned cpu, void *data) { fprintf(out, "%llu\n", (unsigned long long)(executed - began - 1)); }

static void translated(plugin_id id, struct block *block) {
    for (size_t i = 0, n = qemu_plugin_tb_n_insns(block); i < n; i++) {
        struct instruction *instruction = qemu_plugin_tb_get_insn(block, i);
        uint16_t code = 0;
        if (qemu_plugin_insn_size(instruction) == 2) memcpy(&code, qemu_plugin_insn_data(instruction), 2);
        if (code == 0x46d2) qemu_plugin_register_vcpu_insn_exec_cb(instruction, begin, 0, NULL);
        if (code == 0x46db) qemu_plugin_register_vcpu_insn_exec_cb(instruction, end, 0, NULL);
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, 0, &executed, 1);
    }
}

static void at_exit(plugin_id id, void *data) { fclose(out); }

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
    if (!out) return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
