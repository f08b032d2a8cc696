// A contest in a worker of a page: only workers may wait for the message way's answer.
self.onmessage = async ({ data: { file, ...options } }) => {
  try {
    const { contest } = await import(`/benches/contests/${file}.mjs`);
    self.postMessage({ result: await contest.race(options) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
