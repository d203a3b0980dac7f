/** The rule stands in the kernel, as accounts and rooms both ask it. */
export * from '../kernel/names.ts';
