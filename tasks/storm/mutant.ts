/**
 * A guard and its absence: a line of the program, what stands there instead, and the tests that must then fail.
 *
 * **In** how a guard reads, **Out** a mutant. **Knows** nothing.
 */

/** A guard and its absence. `find` stands in the file exactly once. */
export interface Mutant {
  readonly guard: string;
  readonly file: string;
  readonly find: string;
  readonly put: string;
  readonly tests: readonly string[];
  /** The variable that names the service that the tests need. */
  readonly needs?: string;
}

const never = (condition: string): string => condition.replace(/^if \((.*)\) \{$/, "if (false as boolean && ($1)) {");
const gone = (find: string): string => `// ${find.length} characters were here`;

/** A condition that is never met any more. */
export function guard(name: string, file: string, find: string, tests: readonly string[]): Mutant[] {
  return [{ guard: name, file, find, put: never(find), tests }];
}

/** A line that is gone, or another one in its place. */
export function line(
  name: string,
  file: string,
  find: string,
  tests: readonly string[],
  { put = gone(find), needs }: { readonly put?: string; readonly needs?: string } = {},
): Mutant {
  return { guard: name, file, find, put, tests, ...(needs !== undefined && { needs }) };
}
