import assert from 'node:assert/strict';
import { createLogger, frameworkLogger } from '../../src/ops/logger.ts';

function logOf(isProduction: boolean) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { lines, log: createLogger({ level: 'info', isProduction, buildId: 'b1', destination }) };
}

describe('the log', () => {
  it('in production is one JSON object a line, with the build and without secrets', () => {
    const { log, lines } = logOf(true);
    log.info({ matchId: 'm1', token: 'secret', user: { password: 'secret' } }, 'joined');
    assert.equal(lines.length, 1);
    const line = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.equal(line['msg'], 'joined');
    assert.equal(line['matchId'], 'm1');
    assert.equal(line['build'], 'b1');
    assert.doesNotMatch(lines[0]!, /secret/);
  });

  it('in development is one line for people, with the stack of an error below', () => {
    const { log, lines } = logOf(false);
    log.warn({ matchId: 'm1' }, 'slow');
    assert.match(lines[0]!, /^\d\d:\d\d:\d\d WARN {2}slow matchId="m1"\n$/);
    log.error({ err: new Error('broken') }, 'failed');
    assert.match(lines[1]!, /ERROR failed\nError: broken\n {4}at /);
  });

  it('does not let a text forge a line or colour the terminal', () => {
    const { log, lines } = logOf(false);
    log.info({ name: 'x\n12:00:00 info  forged' }, 'a\nb\u001b[31mc\u009bd');
    assert.equal(lines[0]!.trimEnd().split('\n').length, 1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    assert.doesNotMatch(lines[0]!.trimEnd(), /[\u0000-\u001f\u007f-\u009f]/);
  });

  it("takes the framework's chatter as debug and its faults as they are", () => {
    const { log, lines } = logOf(true);
    const framework = frameworkLogger(log);
    framework.info('hello %s', 'world');
    assert.equal(lines.length, 0);
    framework.error('bad %d', 3, { a: 1 });
    assert.match(lines[0]!, /"level":50.*"from":"colyseus".*bad 3 \{ a: 1 \}/);
  });
});
