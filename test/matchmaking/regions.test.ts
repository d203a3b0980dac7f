import assert from 'node:assert/strict';
import type { Role } from '../../src/cluster/directory.ts';
import { regionsOf } from '../../src/open-matchmaking.ts';

const REGION_URLS = [
  { region: 'eu', url: 'https://eu.play.example' },
  { region: 'us', url: 'https://us.play.example' },
  { region: 'asia', url: 'https://asia.play.example' },
];
const card = (region: string, { isDraining = false, roles = ['realtime'] as readonly Role[] } = {}) => ({
  region,
  roles,
  isDraining,
});

describe('the regions that players measure', () => {
  it('are those with an address for players where matches begin', () => {
    const processes = [
      card('us', { isDraining: true }),
      card('us'),
      card('eu', { roles: ['gate', 'realtime', 'worker'] }),
      card('asia', { isDraining: true }),
      card('sa'),
    ];
    assert.deepEqual(regionsOf({ region: 'eu', regionUrls: REGION_URLS }, processes), [
      { region: 'eu', pingUrl: 'https://eu.play.example/ping' },
      { region: 'us', pingUrl: 'https://us.play.example/ping' },
    ]);
    const workers = [card('us'), card('asia', { roles: ['worker'] })];
    assert.deepEqual(regionsOf({ region: 'asia', regionUrls: REGION_URLS }, workers), [
      { region: 'us', pingUrl: 'https://us.play.example/ping' },
    ]);
  });

  it('are without such addresses the own one alone, by which way ever the client came', () => {
    assert.deepEqual(regionsOf({ region: 'eu', regionUrls: [] }, [card('us'), card('eu')]), [
      { region: 'eu', pingUrl: '/ping' },
    ]);
  });
});
