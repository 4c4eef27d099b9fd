/** The main job as its user starts it: a process of its own, to the audit's verdict. */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";

const PIPELINE = fileURLToPath(new URL("./pipeline.ts", import.meta.url));

Deno.test("the pipeline ends with books that balance", async () => {
  const data = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", PIPELINE, "--ticks", "2000", "--data", data, "--json"],
    }).output();
    const said = new TextDecoder().decode(stderr);
    assert.equal(code, 0, said);
    const { audit } = JSON.parse(new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1)!);
    assert.deepEqual([audit.balanced, audit.findings], [true, []], said);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
});
