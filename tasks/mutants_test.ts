/** The list of guards: each line stands where the list has it, and each test that should miss it is there. */
import assert from "@std/assert";
import { MUTANTS, NEEDED } from "./storm/mutants.ts";

const ROOT = new URL("../", import.meta.url);

Deno.test("every guard's line is in its file once, and what stands instead is another one", async () => {
  const wrong: string[] = [];
  const texts = new Map<string, string>();
  for (const { guard, file, find, put } of MUTANTS) {
    const text = texts.get(file) ?? await Deno.readTextFile(new URL(file, ROOT));
    texts.set(file, text);
    const times = text.split(find).length - 1;
    if (times !== 1 || put === find) wrong.push(`${guard}: ${find} is in ${file} ${times} times`);
  }
  assert.deepEqual(wrong, []);
});

Deno.test("every guard has a name of its own and tests that are there", async () => {
  const names = MUTANTS.map(({ guard }) => guard);
  assert.deepEqual(names.filter((name, i) => names.indexOf(name) !== i), []);
  assert.deepEqual(NEEDED.filter((name) => !names.includes(name)), []);
  for (const test of new Set(MUTANTS.flatMap(({ tests }) => tests))) await Deno.stat(new URL(test, ROOT));
  for (const { guard, tests } of MUTANTS) assert.ok(tests.length > 0, guard);
});
