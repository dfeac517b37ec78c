/* A plugin for QEMU's user-mode emulation that counts the guest's instructions:
 *
 *     cc -O2 -shared -fPIC -o count_instructions.so count_instructions.c
 *     qemu-aarch64 -plugin ./count_instructions.so,out=FILE PROGRAM ...
 *
 * When the program exits, FILE contains the number. It is exact for a program with one thread; concurrent threads may lose counts. The
 * declarations are those of version 1 of QEMU's plugin interface (QEMU 6 to 8.1); Debian has no package with the header.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_info_t;
enum plugin_operation { ADD_U64 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*translated)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, enum plugin_operation operation, void *counter,
                                              uint64_t operand);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*ended)(plugin_id, void *), void *data);

EXPORT int qemu_plugin_version = 1;

static uint64_t instructions;
static char out[4096];

/* Each run of a translated block adds as many instructions as it has. */
static void on_translated(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &instructions, qemu_plugin_tb_n_insns(block));
}

static void on_end(plugin_id id, void *data)
{
    (void)id;
    (void)data;
    FILE *file = fopen(out, "w");
    if (file == NULL) {
        fprintf(stderr, "count_instructions: could not write %s\n", out);
        return;
    }
    fprintf(file, "%" PRIu64 "\n", instructions);
    fclose(file);
}

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || strlen(argv[0] + 4) >= sizeof out) {
        fprintf(stderr, "count_instructions: expected the argument out=FILE\n");
        return 1;
    }
    strcpy(out, argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
