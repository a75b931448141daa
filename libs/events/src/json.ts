/** Any JSON value, as a caller sent it. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** Extensions by name. Any name is good, `__proto__` too: build with spread or `Object.fromEntries`, never by assignment. */
export type Extensions = { readonly [name: string]: Json };
