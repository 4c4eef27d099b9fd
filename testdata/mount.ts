/**
 * A small disk of its own, where one may be mounted.
 */

async function mount(...args: string[]): Promise<boolean> {
  const command = new Deno.Command("mount", { args, stdout: "null", stderr: "null" });
  return await command.output().then(({ success }) => success, () => false);
}

/** Runs `use` on a tmpfs in `folder`, or tells why not. `options` are those of mount: `size=1m`, `ro`. */
export async function onDisk(folder: string, options: string, use: () => Promise<void>): Promise<void> {
  await Deno.mkdir(folder);
  if (!await mount("-t", "tmpfs", "-o", options, "tapedeck", folder)) {
    return console.log("skipped: no tmpfs may be mounted here, which takes Linux and root");
  }
  try {
    await use();
  } finally {
    await new Deno.Command("umount", { args: ["-l", folder] }).output();
  }
}

/** Gives the disk another size. */
export async function resize(folder: string, size: string): Promise<void> {
  if (!await mount("-o", `remount,size=${size}`, folder)) throw new Error(`Cannot resize "${folder}"`);
}
