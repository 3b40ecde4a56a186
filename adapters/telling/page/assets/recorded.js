// A recorded call: the document is in the page.

import { Model } from "./model.js";
import { Page } from "./page.js";

globalThis.page = new Page(Model.of(JSON.parse(document.querySelector("#document").textContent)));
