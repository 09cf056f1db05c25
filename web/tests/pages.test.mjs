// Each page on a mesh that has something to show: it opens, it is live or says that it is not, it
// fits, and whoever cannot see colours or use a mouse can use it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { PAGES, launch, open, overhang, serious, settled } from './browser.mjs';
import { Mesh, failing } from './mesh.mjs';

let mesh;
let browser;
let workflow;

before(async () => {
  mesh = await Mesh.start();
  browser = await launch();
  workflow = await mesh.ask('run', failing('crash'), '--input', '{}');
  await mesh.ask('run', failing('error'), '--input', '{"times":1}');
});

after(async () => {
  await browser?.close();
  await mesh?.stop();
});

const pages = () => ({
  ...PAGES,
  Workflow: `/workflows/${workflow.id}`,
  'Workflow: timeline': `/workflows/${workflow.id}?tab=timeline`,
  'Workflow: history': `/workflows/${workflow.id}?tab=history`,
  Definition: '/definitions/demo/simulate-crash',
});

for (const theme of ['light', 'dark']) {
  test(`nothing on any page bars anybody (${theme})`, async (t) => {
    for (const [name, path] of Object.entries(pages())) {
      await t.test(name, async () => {
        const page = await open(browser, mesh.address + path, { theme });
        await settled(page);
        assert.deepEqual(await serious(page), [], path);
        assert.deepEqual(page.problems, [], path);
        await page.context().close();
      });
    }
  });
}

describe('every page fits', () => {
  for (const width of [360, 768, 1920, 3840]) {
    test(`into ${width} px`, async () => {
      for (const path of Object.values(pages())) {
        const page = await open(browser, mesh.address + path, { width });
        await settled(page);
        assert.ok(await overhang(page) <= 0, `${path} is too wide by ${await overhang(page)} px`);
        await page.context().close();
      }
    });
  }
});

test('the menu leads to every page, by the keyboard alone', async () => {
  const page = await open(browser, mesh.address);
  for (const [name, path] of Object.entries(PAGES)) {
    const entry = page.getByRole('navigation').getByRole('link', { name, exact: true });
    await entry.focus();
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.pathname === path);
    await page.locator('h1').first().waitFor();
    await page.waitForFunction(() => document.title.endsWith('Planaria'));
  }
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test('an address where nothing is says so', async () => {
  const page = await open(browser, `${mesh.address}/nowhere`);
  await page.getByText('No page has this address.').waitFor();
  await page.context().close();
});

test('no page asks another host for anything', async () => {
  const page = await open(browser, mesh.address);
  const hosts = new Set();
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  for (const path of Object.values(pages())) {
    await page.goto(mesh.address + path);
    await settled(page);
  }
  assert.deepEqual([...hosts], [new URL(mesh.address).host]);
  await page.context().close();
});
