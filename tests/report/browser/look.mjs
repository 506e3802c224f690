// Looks at pages in headless Chromium and prints what it saw as JSON. Arguments: the browser, a folder for downloads
// and screenshots, and a page by name for each thing to look at (name=path).
import { createRequire } from "node:module";
import { readFileSync, mkdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import path from "node:path";

const require = createRequire(path.join(process.env.HARNESS_NODE_FOLDER, "package.json"));
const { chromium } = require("playwright-core");
const { HtmlValidate } = require("html-validate");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [browserPath, folder, ...named] = process.argv.slice(2);
const pages = Object.fromEntries(named.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
mkdirSync(folder, { recursive: true });

const options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: browserPath, args: options });
const found = {};

const rules = { extends: ["html-validate:recommended"], rules: { "long-title": "off", "no-inline-style": "error", "require-sri": "off", "svg-focusable": "off", "no-trailing-whitespace": "off" } };

async function open(name, { width = 1360, height = 900, javaScript = true, scheme = "light", media, hash = "" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, javaScriptEnabled: javaScript, colorScheme: scheme, acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  const requests = [], errors = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) { errors.push(message.text()); } });
  if (media) { await page.emulateMedia({ media }); }
  await page.goto(pathToFileURL(pages[name]).href + hash);
  return { context, page, requests, errors };
}

const names = (page) => page.$$eval("#case-table tbody tr:not([hidden]) th strong", (cells) => cells.map((cell) => cell.textContent));
const column = (page, name) => page.evaluate((wanted) => {
  const table = document.getElementById("case-table");
  const place = Array.from(table.tHead.rows[0].cells).findIndex((head) => head.dataset.name === wanted);
  return Array.from(table.tBodies[0].rows).filter((row) => !row.hidden).map((row) => row.cells[place].dataset.v ?? "");
}, name);
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const ink = (page) => page.evaluate(() => [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector("svg.chart text") ?? document.body).fill]);

async function checkAccess(page) {
  // The page's policy lets no foreign script in, so the checker comes through the driver.
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations", "incomplete"] }));
  return {
    violations: result.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target} ${node.failureSummary}`)),
    passes: result.passes.length,
  };
}

for (const name of Object.keys(pages)) {
  const seen = (found[name] = {});
  for (const scheme of ["light", "dark"]) {
    const { context, page, requests, errors } = await open(name, { scheme });
    await page.waitForTimeout(150);
    seen[scheme] = { requests, errors, ink: await ink(page), overflow: await overflow(page), access: await checkAccess(page) };
    await page.screenshot({ path: path.join(folder, `${name}-${scheme}.png`), fullPage: true });
    await context.close();
  }
  for (const width of [360, 768]) {
    const { context, page } = await open(name, { width });
    seen[`narrow${width}`] = { overflow: await overflow(page) };
    await page.screenshot({ path: path.join(folder, `${name}-${width}.png`), fullPage: true });
    await context.close();
  }
  const plain = await open(name, { javaScript: false });
  seen.plain = { text: await plain.page.locator("body").innerText(), hidden: await plain.page.locator("[hidden]").count(), shapes: await plain.page.locator("svg.chart").count() };
  await plain.context.close();
  const print = await open(name, { media: "print", scheme: "dark" });
  seen.print = { ink: await ink(print.page), filters: await print.page.locator("#filters").isVisible(), nav: await print.page.locator("nav").first().isVisible() };
  const pdf = await print.page.pdf({ path: path.join(folder, `${name}.pdf`), preferCSSPageSize: true, printBackground: true });
  seen.print.bytes = pdf.length;
  await print.context.close();
  const report = await new HtmlValidate(rules).validateFile(pages[name]);
  seen.html = report.results.flatMap((result) => result.messages.map((said) => `${said.line}:${said.column} ${said.ruleId}: ${said.message}`)).slice(0, 40);
}

// The first screen, on a desk and on a phone: how many answers it shows whole, and where the first chart begins.
if (pages.lab) {
  const seen = (found.first = {});
  for (const [place, width, height] of [["desk", 1280, 800], ["phone", 390, 844]]) {
    for (const scheme of ["light", "dark"]) {
      const { context, page } = await open("lab", { width, height, scheme });
      seen[`${place}-${scheme}`] = await page.evaluate((bottom) => ({
        answers: Array.from(document.querySelectorAll(".overview .use strong")).filter((answer) => answer.getBoundingClientRect().bottom < bottom).length,
        chart: document.querySelector("svg.chart").getBoundingClientRect().top,
        sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      }), height);
      await page.screenshot({ path: path.join(folder, `first-${place}-${scheme}.png`) });
      await context.close();
    }
  }
  const { context, page } = await open("lab", { javaScript: false });
  await page.locator(".overview summary").first().click();
  seen.reasons = await page.locator(".overview details[open] li").allInnerTexts();
  await context.close();
}

if (pages.lab) {
  const seen = (found.deeds = {});
  const { context, page, errors } = await open("lab");
  seen.all = await names(page);
  await page.getByRole("button", { name: "Images/s", exact: true }).click();
  seen.rates = (await column(page, "rate")).map(Number);
  seen.sorted = await page.locator("th[aria-sort]").evaluateAll((heads) => heads.map((head) => [head.dataset.name, head.getAttribute("aria-sort")]));
  await page.getByRole("button", { name: "Images/s", exact: true }).click();
  seen.ratesUp = (await column(page, "rate")).map(Number);
  await page.selectOption("select[name=loader]", "tfdata");
  await page.selectOption("select[name=host]", "gpu01");
  seen.filtered = await names(page);
  seen.shown = await page.locator("#shown").innerText();
  seen.hash = await page.evaluate(() => location.hash);
  const csv = page.waitForEvent("download");
  await page.getByRole("button", { name: /CSV/ }).click();
  await (await csv).saveAs(path.join(folder, "cases.csv"));
  const records = page.waitForEvent("download");
  await page.getByRole("button", { name: /JSON lines/ }).click();
  await (await records).saveAs(path.join(folder, "records.jsonl"));
  await page.goBack();
  seen.back = await names(page);
  await page.getByRole("button", { name: "Show all" }).click();
  seen.cleared = (await names(page)).length;
  const before = await ink(page);
  const button = page.locator("#theme");
  seen.themes = [];
  for (let count = 0; count < 3; count += 1) {
    await button.click();
    seen.themes.push([await button.innerText(), ...(await ink(page))]);
  }
  seen.before = before;
  await page.keyboard.press("Home");
  seen.errors = errors;
  await context.close();
  const linked = await open("lab", { hash: seen.hash });
  seen.linked = await names(linked.page);
  seen.linkedSort = await linked.page.locator("th[aria-sort]").evaluateAll((heads) => heads.map((head) => head.dataset.name));
  await linked.context.close();
  const skipped = await open("lab");
  await skipped.page.keyboard.press("Tab");
  seen.skip = await skipped.page.evaluate(() => document.activeElement.textContent);
  await skipped.context.close();
}
await browser.close();
process.stdout.write(JSON.stringify(found));
