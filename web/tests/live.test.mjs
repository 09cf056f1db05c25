// What happens is on the screen at once, and a page outlives the mesh that it shows.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launch, open } from './browser.mjs';
import { Mesh } from './mesh.mjs';

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

for (const failure of ['Crash', 'Hang', 'Error, N times']) {
  test(`simulate failure: ${failure}, to its healing`, async () => {
    const page = await open(browser, mesh.address);
    await page.getByRole('button', { name: 'Simulate failure' }).click();
    await page.getByText(failure, { exact: true }).click();
    await page.getByRole('button', { name: 'Break it' }).click();
    await page.waitForURL(/\/workflows\/[0-9a-f-]{36}/);
    const id = new URL(page.url()).pathname.split('/').pop();
    // The page itself shows the end, without a reload.
    await page.locator('.flow-facts .badge', { hasText: 'completed' }).waitFor({ timeout: 60_000 });
    const { tasks } = await mesh.ask('workflow', 'get', id);
    const charge = tasks.find(({ reference }) => reference.endsWith('/charge'));
    assert.ok(charge.attempts > 1, `charge had ${charge.attempts} attempts`);
    if (failure !== 'Error, N times') {
      const healings = await mesh.ask('healing', 'list');
      assert.ok(healings.some(({ workflowId }) => workflowId === id), 'no healing is on record');
      await page.goto(`${mesh.address}/healing`);
      const incidents = page.getByRole('main');
      await incidents.getByText(/worker-\d/).filter({ visible: true }).first().waitFor();
    }
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });
}

test('a workflow that starts is in the list within a moment', async () => {
  const page = await open(browser, `${mesh.address}/workflows`);
  await page.locator('.link .badge', { hasText: 'live' }).waitFor();
  const { id } = await mesh.ask('workflow', 'start', 'demo/simulate-error', '--input', '{"times":1}');
  await page.locator(`a[href*="${id}"]`).first().waitFor();
  await page.context().close();
});

test('the mesh dies and comes back; the page says so and goes on', async () => {
  const page = await open(browser, mesh.address);
  await page.locator('.link .badge', { hasText: 'live' }).waitFor();
  await mesh.kill();
  await page.locator('.link .badge', { hasText: 'reconnecting' }).waitFor();
  await mesh.up();
  await page.locator('.link .badge', { hasText: 'live' }).waitFor({ timeout: 20_000 });
  await page.getByText('All is well.').waitFor({ timeout: 20_000 });
  await page.context().close();
});

test('a hidden page has no stream', async () => {
  const page = await open(browser, mesh.address);
  const badge = page.locator('.link .badge');
  await badge.filter({ hasText: 'live' }).waitFor();
  const show = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await show(true);
  await badge.filter({ hasText: 'paused' }).waitFor();
  await show(false);
  await badge.filter({ hasText: 'live' }).waitFor();
  await page.context().close();
});
