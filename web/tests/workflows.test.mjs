// Ten thousand workflows in the list, and a document that is wrong.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launch, open, settled } from './browser.mjs';
import { Mesh, until } from './mesh.mjs';

const MANY = 10_000;
/** Rows in the page at once, however many there are. */
const ROWS_MAX = 400;

let mesh;
let browser;

before(async () => {
  mesh = await Mesh.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await mesh?.stop();
});

test('ten thousand workflows scroll', async () => {
  let done = 0;
  while (done < MANY) {
    const report = await mesh.ask('bench', 'throughput', '--duration', '10s');
    done += Math.floor(report.workflowsPerSecond * 10);
    assert.ok(report.workflowsPerSecond > 0);
  }
  const page = await open(browser, `${mesh.address}/workflows`);
  await settled(page);
  const scroller = page.locator('.rows, .virtual').first();
  await scroller.waitFor();
  // Down in large steps until the end is there; every step must show rows.
  const frames = await scroller.evaluate(async (element) => {
    const times = [];
    for (let step = 0; step < 60; step += 1) {
      const begun = performance.now();
      element.scrollTop += 400;
      await new Promise(requestAnimationFrame);
      times.push(performance.now() - begun);
    }
    return times.sort((a, b) => a - b);
  });
  console.log(`frames: p50 ${frames[30].toFixed(1)} ms, p95 ${frames[56].toFixed(1)} ms`);
  const links = await page.locator('a[href^="/workflows/"]').count();
  assert.ok(links > 0 && links < ROWS_MAX, `${links} rows are in the page`);
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test('a document that is wrong is told where', async () => {
  const page = await open(browser, `${mesh.address}/definitions`);
  await page.getByRole('link', { name: /new/i }).or(page.getByRole('button', { name: /new/i }))
    .first().click();
  const editor = page.locator('textarea').first();
  await editor.fill([
    'document: { dsl: "1.0.3", namespace: shop, name: order, version: "1.0.0" }',
    'do:',
    '  - first: { call: simulate }',
    '  - second: { cal: simulate }',
    '',
  ].join('\n'));
  await until('the problem of line 4', () => page.getByText(/4:\d+/).count());
  assert.equal((await mesh.ask('definition', 'list')).filter(({ name }) => name === 'order').length, 0);
  await page.context().close();
});
