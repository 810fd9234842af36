// Starts `sparqc lsp` and connects it with the pattern files that are open.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = async function () {
  const [command, ...args] = workspace.getConfiguration("spq").get("command");
  client = new LanguageClient(
    "sparqc",
    "sparqc",
    { command, args },
    { documentSelector: [{ language: "spq" }] },
  );
  await client.start();
};

exports.deactivate = () => client?.stop();
