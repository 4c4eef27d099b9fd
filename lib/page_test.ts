import assert from "@std/assert";
import { Misuse } from "./failure.ts";
import { PAGE, tryPage } from "./page.ts";

Deno.test("a page that cannot be written is a misuse on one line, and one that can be is left as it was", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/folder.html`);
    for (const path of [`${folder}/none/x.html`, `${folder}/folder.html`, "/proc/x.html"]) {
      assert.throws(() => tryPage(path), (error: Error) => {
        assert.ok(error instanceof Misuse, `${error}`);
        assert.match(
          error.message,
          /^Cannot write page "[^"]+\.html": .+, must be a file in a folder that may be written$/,
        );
        return true;
      });
    }
    tryPage(`${folder}/new.html`);
    await assert.rejects(Deno.stat(`${folder}/new.html`), Deno.errors.NotFound);
    await Deno.writeTextFile(`${folder}/old.html`, "as it was");
    tryPage(`${folder}/old.html`);
    assert.equal(await Deno.readTextFile(`${folder}/old.html`), "as it was");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assert.deepEqual(["x.html", "a/x.html", "x.pdf", "x", ".html", "a/.html"].map((path) => PAGE.test(path)), [
    ...[true, true, false, false, false, false],
  ]);
});
