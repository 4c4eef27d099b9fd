/**
 * A stage that tries what none may: to read, write, connect, spawn, load a library and look around outside of its doors.
 * Run as a command it tells what became of each try, and that its own folder is open to it.
 */
import { start } from "../lib/crew.ts";
import { defineStage } from "../lib/stage.ts";

const tried = async (act: () => unknown): Promise<string> => {
  try {
    await act();
    return "done";
  } catch (error) {
    const { name, message } = error as Error;
    return name === "NotCapable" || /^Requires \w+ access/.test(message) ? "refused" : `${name}: ${message}`;
  }
};

const stage = defineStage({
  name: "planted",
  does: "tries what no stage may",
  reads: [],
  writes: [],
  needs: ["hot"],
  flags: {
    own: { kind: "text", value: "FILE", default: "none", does: "in a folder of its doors" },
    beside: { kind: "text", value: "FILE", default: "none", does: "beside its store, in a folder of another stage" },
    other: { kind: "text", value: "FILE", default: "none", does: "outside" },
  },
  examples: [],
  async run({ values: { own, beside, other } }) {
    return {
      tries: {
        "own file": await tried(() => Deno.writeTextFile(own, "")),
        read: await tried(() => Deno.readTextFile("/etc/hostname")),
        write: await tried(() => Deno.writeTextFile(other, "")),
        "write beside": await tried(() => Deno.writeTextFile(beside, "")),
        link: await tried(() => Deno.symlink("/etc", `${own}.link`)),
        connect: await tried(() => Deno.connect({ hostname: "127.0.0.1", port: 9 })),
        listen: await tried(() => Deno.listen({ hostname: "127.0.0.1", port: 0 })),
        fetch: await tried(() => fetch("http://127.0.0.1:4/")),
        spawn: await tried(() => new Deno.Command("true").output()),
        load: await tried(() => Deno.dlopen("/lib/none.so", {})),
        environment: await tried(() => Deno.env.get("HOME")),
        "whole environment": await tried(() => Deno.env.toObject()),
        host: await tried(() => Deno.hostname()),
        import: await tried(() => import(`file://${other}`)),
        "worker with more": await tried(() =>
          new Worker("data:text/javascript,", { type: "module", deno: { permissions: { read: true } } })
        ),
      },
    };
  },
});

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
