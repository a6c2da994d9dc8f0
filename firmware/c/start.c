/* Vector table and start-up of the C example: stack, FPU, variables, then newlib's semihosted main. */
#include <stdint.h>

extern uint32_t __stack_top, __bss_start, __bss_end;
extern void initialise_monitor_handles(void);
extern void __libc_init_array(void);
extern int main(void);
extern void exit(int) __attribute__((noreturn));

void _init(void) {}
void _fini(void) {}

/* The stack and frame pointers are the hardware's: nothing is on the stack yet. */
__attribute__((noreturn)) void reset(void);
__attribute__((noreturn)) void reset(void) {
    uint32_t *word;
    /* CPACR: full access to coprocessors 10 and 11, the FPU (Armv7-M, B3.2.20). */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm volatile("dsb\nisb");
    for (word = &__bss_start; word < &__bss_end; word++) *word = 0;
    initialise_monitor_handles();
    __libc_init_array();
    exit(main());
}

__attribute__((noreturn)) static void fault(void) { exit(2); }

typedef void (*handler)(void);

__attribute__((section(".vectors"), used)) static const handler vectors[16] = {
    (handler)(uintptr_t)&__stack_top, reset, fault, fault, fault, fault, fault,
};
