import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { configHelp, configKeys, envExample, readConfig } from '../src/config.ts';
import { GameError } from '../src/kernel/errors.ts';
import { generateTokenKey } from '../src/sessions/tokens.ts';

function faultsOf(environment: Record<string, string>): string[] {
  try {
    readConfig(environment);
  } catch (error) {
    assert.ok(error instanceof GameError && error.code === 'CONFIG_INVALID');
    return error.detail['faults'] as string[];
  }
  return [];
}

describe('configuration', () => {
  it('of an empty environment is the development default, loopback only', () => {
    const config = readConfig({ PATH: '/bin' });
    assert.equal(config.isProduction, false);
    assert.deepEqual(config.http, { host: '127.0.0.1', port: 2567, publicOrigins: [], proxyHops: 0 });
    assert.equal(config.dataDir, resolve('.data'));
    assert.deepEqual(config.match, {
      minutes: 5,
      bots: 4,
      maxPlayers: 16,
      tickRateHz: 30,
      durability: 'batch',
      patchEveryTicks: 1,
    });
    assert.deepEqual(config.tokens, { key: undefined, minutes: 15 });
  });

  it('takes addresses of regions that are origins and nothing more, the own region among them', () => {
    const given = (urls: string, region = 'eu') => ({ HYPOGEUM_REGION: region, HYPOGEUM_REGION_URLS: urls });
    const { cluster } = readConfig(given('eu=https://eu.play.example, us=http://[fd00::7]:8080'));
    assert.deepEqual(cluster.regionUrls, [
      { region: 'eu', url: 'https://eu.play.example' },
      { region: 'us', url: 'http://[fd00::7]:8080' },
    ]);
    assert.deepEqual(readConfig({}).cluster.regionUrls, []);
    const wrong = [
      'https://eu.play.example',
      'eu=eu.play.example',
      'eu=https://eu.play.example/',
      'eu=https://eu.play.example/ping',
      'eu=https://user@eu.play.example',
      'eu=ftp://eu.play.example',
      'eu=https://eu.play.example:99999',
      'EU=https://eu.play.example',
      // Would be more than one origin where the policy of the client's page is written.
      'eu=https://*.example',
      "eu=https://a;script-src'b",
      'eu=https://eu.play.example us=https://us.play.example',
      'eu=https://eu.play.example,',
      'eu=https://eu.play.example,eu=https://us.play.example',
      Array.from({ length: 17 }, (_, at) => `${at === 0 ? 'eu' : `r${at}`}=https://r${at}.example`).join(),
    ];
    for (const urls of wrong) assert.equal(faultsOf(given(urls)).length, 1, urls);
    assert.match(faultsOf(given('eu=https://eu.play.example', 'asia'))[0]!, /HYPOGEUM_REGION=asia is not among them/);
  });

  it('listens on every address in production unless told otherwise', () => {
    assert.equal(readConfig({ NODE_ENV: 'production' }).http.host, '0.0.0.0');
    assert.equal(readConfig({ NODE_ENV: 'production', HYPOGEUM_HOST: '10.0.0.7' }).http.host, '10.0.0.7');
  });

  it('takes what the environment says, and an empty value as unset', async () => {
    const key = await generateTokenKey();
    const config = readConfig({
      HYPOGEUM_PORT: ' 0 ',
      HYPOGEUM_DATA: '/var/lib/hypogeum',
      HYPOGEUM_PUBLIC_ORIGINS: 'https://play.example, https://staging.play.example:8443',
      HYPOGEUM_TOKEN_KEY: JSON.stringify(key),
      HYPOGEUM_MAX_PLAYERS: '128',
      HYPOGEUM_BOTS: '',
      HYPOGEUM_LOG_LEVEL: 'warn',
    });
    assert.equal(config.http.port, 0);
    assert.equal(config.dataDir, '/var/lib/hypogeum');
    assert.deepEqual(config.http.publicOrigins, ['https://play.example', 'https://staging.play.example:8443']);
    assert.deepEqual(config.tokens.key, key);
    assert.equal(config.match.maxPlayers, 128);
    assert.equal(config.match.bots, 4);
    assert.equal(config.log.level, 'warn');
  });

  it('names every fault in one error, each with what was wanted', () => {
    const faults = faultsOf({
      HYPOGEUM_PORT: '65536',
      HYPOGEUM_TICK_RATE: '9.5',
      HYPOGEUM_BOTS: '20',
      HYPOGEUM_LOG_LEVEL: 'loud',
      HYPOGEUM_PUBLIC_ORIGINS: 'https://play.example/,*',
      HYPOGEUM_METRICS_TOKEN: 'short',
    });
    assert.equal(faults.length, 6, faults.join('\n'));
    for (const [at, start] of [
      'HYPOGEUM_PORT: wanted a whole number, 0 to 65535',
      'HYPOGEUM_LOG_LEVEL: ',
      'HYPOGEUM_PUBLIC_ORIGINS: wanted origins',
      'HYPOGEUM_METRICS_TOKEN: wanted at least 16',
      'HYPOGEUM_TICK_RATE: wanted a whole number, 10 to 60',
      'HYPOGEUM_BOTS: 20 bots do not fit into HYPOGEUM_MAX_PLAYERS=16',
    ].entries()) {
      assert.ok(faults[at]!.startsWith(start), `${faults[at]} starts with ${start}`);
    }
  });

  for (const bad of ['1e3', '0x10', '', ' ', '-1', '12abc', '9'.repeat(400), 'NaN', 'Infinity']) {
    it(`does not take ${JSON.stringify(bad.slice(0, 20))} for a port`, () => {
      if (bad.trim() === '') assert.equal(readConfig({ HYPOGEUM_PORT: bad }).http.port, 2567);
      else assert.equal(faultsOf({ HYPOGEUM_PORT: bad }).length, 1);
    });
  }

  it('fits the default of bots to a small match, and refuses bots that were asked for and do not fit', () => {
    assert.equal(readConfig({ HYPOGEUM_MAX_PLAYERS: '2' }).match.bots, 2);
    assert.equal(faultsOf({ HYPOGEUM_MAX_PLAYERS: '2', HYPOGEUM_BOTS: '3' }).length, 1);
  });

  for (const [typo, meant] of [
    ['HYPOGEUM_PROT', 'HYPOGEUM_PORT'],
    ['HYPOGEUM_TICKRATE', 'HYPOGEUM_TICK_RATE'],
    ['HYPOGEUM_PUBLIC_ORIGIN', 'HYPOGEUM_PUBLIC_ORIGINS'],
    ['HYPOGEUM_MONITOR', 'HYPOGEUM_MONITOR_PASSWORD'],
  ] as const) {
    it(`refuses ${typo} and offers ${meant}`, () => {
      assert.deepEqual(faultsOf({ [typo]: '1' }), [`${typo}: there is no such key; did you mean ${meant}?`]);
    });
  }

  it('refuses a key that resembles none without a guess', () => {
    assert.deepEqual(faultsOf({ HYPOGEUM_QXZVWKJ: '1' }), ['HYPOGEUM_QXZVWKJ: there is no such key']);
  });

  it('never repeats a secret in a fault', async () => {
    const { d: _, ...publicKey } = await generateTokenKey();
    const text = JSON.stringify(publicKey);
    const fault = faultsOf({ HYPOGEUM_TOKEN_KEY: text })[0]!;
    assert.ok(fault.startsWith('HYPOGEUM_TOKEN_KEY: wanted a private Ed25519 key'));
    assert.ok(!fault.includes(String(publicKey.x)));
  });

  it('is frozen, also inside', () => {
    const config = readConfig({ HYPOGEUM_PUBLIC_ORIGINS: 'https://play.example' });
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.match) && Object.isFrozen(config.http.publicOrigins));
  });

  it('has every key in the help, in .env.example and in docs/configuration.md', () => {
    assert.equal(readFileSync('.env.example', 'utf8'), envExample(), 'run `npm run env:example`');
    const docs = readFileSync('docs/configuration.md', 'utf8');
    for (const name of configKeys()) {
      assert.ok(configHelp().includes(name), `${name} in --help`);
      assert.ok(docs.includes(`\`${name}\``), `${name} in docs/configuration.md`);
    }
  });

  it('of .env.example with every line switched on is the default', () => {
    const environment = Object.fromEntries(
      envExample()
        .split('\n')
        .filter((line) => /^#[A-Z_]+=/.test(line))
        .map((line) => line.slice(1).split('=') as [string, string]),
    );
    assert.equal(Object.keys(environment).length, configKeys().length);
    assert.deepEqual(readConfig(environment), readConfig({}));
  });
});
