/**
 * A Python that can bear witness; for tests.
 */

/** An interpreter that has pyarrow: the one that TAPEDECK_PYTHON names, else python3; null when it has not. */
export async function interpreterWithPyarrow(): Promise<string | null> {
  const name = Deno.env.get("TAPEDECK_PYTHON") ?? "python3";
  try {
    const { success } = await new Deno.Command(name, { args: ["-c", "import pyarrow"], stderr: "null" }).output();
    if (success) return name;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  console.log(
    `pyarrow as a witness is skipped: ${name} has no pyarrow, TAPEDECK_PYTHON must name an interpreter that has`,
  );
  return null;
}
