import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };

/** A script of package.json as npm runs it. */
function run(script: string, words: string): { status: number | null; stdout: string; stderr: string } {
  const PATH = [resolve('node_modules/.bin'), process.env['PATH']].join(':');
  return spawnSync('sh', ['-c', `${script} ${words}`], { encoding: 'utf8', env: { ...process.env, PATH } });
}

describe('the commands of package.json', () => {
  for (const [name, script] of Object.entries(scripts)) {
    it(`npm run ${name} -- --help tells how it is used and ends 0`, () => {
      const { status, stdout, stderr } = run(script, '--help');
      assert.equal(status, 0, stderr);
      // Where the command is a tool of others, its own help.
      const usage = /^(exec )?node /.test(script) ? new RegExp(`Usage: npm (run )?${name}\\b`) : /^Usage: /m;
      assert.match(stdout, usage);
    });
  }

  for (const name of ['check', 'env:example', 'colyseus-loadtest']) {
    it(`npm run ${name} ends 2 with its usage on a word it does not know`, () => {
      const { status, stderr } = run(scripts[name]!, '--frobnicate');
      assert.equal(status, 2);
      assert.match(stderr, new RegExp(`Usage: npm run ${name}\\b`));
    });
  }
});
