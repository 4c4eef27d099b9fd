/** The script in README runs as it stands there: it asks a lake, and ends by the answer. */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import simulate from "../cmd/simulate.ts";
import { suiteOf } from "../lib/check.ts";
import { warm } from "../lib/parquet.ts";
import { flow, run, withData } from "../testdata/flow.ts";

const root = new URL("../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", root));
const script = /```ts\n(.*?)```/s.exec(readme)![1]!;
const suite = /```json\n(\{\s*"suite".*?)```/s.exec(readme)![1]!;
await warm();

async function ended(path: string, ...args: readonly string[]): Promise<readonly [number, string]> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--config", fileURLToPath(new URL("deno.json", root)), path, ...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  return [code, new TextDecoder().decode(stdout)];
}

Deno.test("README's script ends by the answer to its question", async () => {
  assert.ok(script.trim().split("\n").length <= 10);
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "2000", "--symbols", "3", "--faults", "0");
    await flow(data);
    const path = `${data}/script.ts`;
    await Deno.writeTextFile(path, script);
    const asked = [`file:${data}/lake`, "2026-11-20"] as const;
    assert.deepEqual(await ended(path, ...asked), [0, ""]);
    await Deno.writeTextFile(path, script.replace("swing > 1.5", "swing >= 1"));
    const [code, said] = await ended(path, ...asked);
    assert.equal(code, 3);
    assert.match(said, /^BTCUSDT moved by a factor of 1(\.\d+)?$/m);
    assert.equal((await ended(path, asked[0], "2026-11-21"))[0], 1);
  });
});

Deno.test("README's suite is one", () => {
  assert.equal(suiteOf(suite, "README.md").expectations.length, 3);
});
