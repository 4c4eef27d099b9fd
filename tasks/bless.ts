/**
 * Rewrites what tests compare with: the golden files in `testdata/` and README's flow. A person reads the diff.
 *
 * **Knows** everything.
 */
import { suiteJsonSchema } from "../lib/check.ts";
import { verdictsOf } from "../lib/judge.ts";
import { goldenTicks } from "../lib/venue_test.ts";
import { flowText, readmeWith } from "./flow.ts";

const root = new URL("../", import.meta.url);
const readme = new URL("README.md", root);
Deno.writeTextFileSync(readme, readmeWith(Deno.readTextFileSync(readme), flowText()));
console.log("README.md");
const schema = new URL("lib/check/schema.json", root);
Deno.writeTextFileSync(schema, `${JSON.stringify(suiteJsonSchema(), null, 2)}\n`);
console.log("lib/check/schema.json");
const golden = await goldenTicks();
const verdicts = new URL("testdata/verdicts/", root);
for (const { name } of Deno.readDirSync(verdicts)) {
  if (!name.endsWith(".jsonl") || name.endsWith(".verdicts.jsonl")) continue;
  const path = new URL(name.replace(/\.jsonl$/, ".verdicts.jsonl"), verdicts).pathname;
  golden.push({ path, text: verdictsOf(Deno.readFileSync(new URL(name, verdicts))) });
}
for (const { path, text } of golden) {
  Deno.writeTextFileSync(path, text);
  console.log(path);
}
