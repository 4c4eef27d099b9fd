import assert from "@std/assert";
import { columns } from "./columns.ts";

Deno.test("words stand to the left, numbers to the right, and no line ends with spaces", () => {
  assert.deepEqual(columns([["n", "stage"], ["1,000", "a"], ["7", "validate"]], (name) => name === "stage"), [
    "    n  stage",
    "1,000  a",
    "    7  validate",
  ]);
});
