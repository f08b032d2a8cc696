// One contest in a process of its own, so that it may have another Node or a flag of V8; prints its result as the last line.
const [file, milliseconds, rounds] = process.argv.slice(2);
try {
  const { contest } = await import(`./contests/${file}.mjs`);
  const result = await contest.race({ milliseconds: Number(milliseconds), rounds: Number(rounds) });
  process.stdout.write(`\n${JSON.stringify(result)}\n`, () => process.exit(0));
} catch (error) {
  process.stderr.write(`error: ${error.message}\n`, () => process.exit(1));
}
