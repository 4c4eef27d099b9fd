/**
 * README speaks of the program as it is: the flow is printed from the declarations, every command has a task, a file and a
 * line. `deno task bless` rewrites the flow.
 */
import assert from "@std/assert";
import { flowText, readmeWith, STAGES } from "./flow.ts";

const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
const { tasks }: { tasks: Record<string, unknown> } = JSON.parse(
  await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
);

Deno.test("README's flow is the one that the stages declare", () => {
  assert.equal(readmeWith(readme, flowText()), readme);
});

Deno.test("every command has a task of its name, a README line and examples", () => {
  const files = [...Deno.readDirSync(new URL("../cmd/", import.meta.url))].filter(({ isFile }) => isFile).map((entry) =>
    entry.name.replace(/\.ts$/, "")
  ).filter((name) => !name.endsWith("_test"));
  assert.deepEqual(files.sort(), STAGES.map((stage) => stage.name).sort());
  for (const { name, examples, does } of STAGES) {
    assert.ok(name in tasks, `${name} has no task`);
    assert.ok(readme.includes(`\`deno task ${name}\``), `${name} has no README line`);
    assert.ok(examples.length > 0 && does.length > 0, `${name} has no help`);
  }
});

Deno.test("tasks that are no stages show their help as well, and do nothing else", async () => {
  for (const name of ["compile", "services"]) {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-read", "--allow-sys", "--no-prompt", `tasks/${name}.ts`, "--help"],
      cwd: new URL("../", import.meta.url),
      env: { NO_COLOR: "1" },
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.equal(code, 0, err);
    assert.match(out!, new RegExp(`^${name}: `));
    assert.ok(out!.includes(`\n  deno task ${name}`), out);
  }
});

Deno.test("every task that README names exists", () => {
  for (const [, name] of readme.matchAll(/deno@?[\d.]* task ([a-z:-]+)/g)) {
    assert.ok(name! in tasks, `README names task ${name}`);
  }
});
