//! The part of the browser's debugging protocol that tests of pages need.

use std::{path::Path, process::Stdio, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::wire::bounded;

/// A headless browser with one page; killed when dropped.
pub struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Session of the page, which every command is sent to.
    session: Option<String>,
    last_id: u64,
    /// Received events that were not returned yet.
    events: Vec<Value>,
    process: Child,
    // Dropped after the process, which writes there.
    profile: TempDir,
}

impl Browser {
    /// Starts `program`, opens `url` with any certificate accepted, and waits until the page has loaded.
    pub async fn open(program: &str, url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let process = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--remote-debugging-port=0"])
            .arg("--ignore-certificate-errors")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("TMPDIR", profile.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let address = debugger(&profile.path().join("DevToolsActivePort")).await;
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let (socket, _) = connect_async_with_config(address, Some(config), true).await.unwrap();
        let mut browser = Self { socket, session: None, last_id: 0, events: Vec::new(), process, profile };
        browser.attach().await;
        browser.call("Page.navigate", json!({ "url": url })).await;
        browser.event("Page.loadEventFired").await;
        browser
    }

    /// Closes the browser, which then leaves no files behind.
    pub async fn close(mut self) {
        self.session = None;
        self.call("Browser.close", json!({})).await;
        bounded("the browser's end", self.process.wait()).await.unwrap();
        // One of its helper processes may outlive it briefly, with a file open there.
        let _ = self.profile.close();
    }

    async fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", attach).await;
        self.session = session["sessionId"].as_str().map(str::to_owned);
        self.call("Page.enable", json!({})).await;
    }

    /// Sends a command and returns its result.
    pub async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.socket.send(Message::text(command.to_string())).await.unwrap();
        loop {
            let mut message = self.message().await;
            if message["id"] == self.last_id {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// The parameters of the next event of that name.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            if let Some(index) = self.events.iter().position(|event| event["method"] == name) {
                return self.events.remove(index)["params"].take();
            }
            let message = self.message().await;
            self.events.push(message);
        }
    }

    async fn message(&mut self) -> Value {
        let message = self.socket.next().await.expect("the browser is still there").unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    /// The value of a JavaScript expression; a promise is awaited.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", parameters).await;
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// Waits until `condition`, a JavaScript expression, is true for the page.
    pub async fn until(&mut self, condition: &str) {
        let promise = format!(
            "new Promise(resolve => {{
                const look = () => ({condition}) && (observer.disconnect(), resolve(true));
                const observer = new MutationObserver(look);
                observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
                look();
            }})"
        );
        let waited = tokio::time::timeout(Duration::from_secs(15), self.evaluate(&promise)).await;
        assert!(waited.is_ok(), "still waiting: {condition}");
    }

    /// The text of the element that `selector` selects.
    pub async fn text(&mut self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector({selector:?}).textContent")).await;
        text.as_str().unwrap().to_owned()
    }

    /// Clicks into the middle of an element, as a person does: an element above it gets the click.
    pub async fn click(&mut self, selector: &str) {
        let middle = format!(
            "(({{ x, y, width, height }}) => ({{ x: x + width / 2, y: y + height / 2 }}))
             (document.querySelector({selector:?}).getBoundingClientRect())"
        );
        let middle = self.evaluate(&middle).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": middle["x"], "y": middle["y"], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Types into the element that has the focus.
    pub async fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Sets the size of the window, in CSS pixels, and its colours, `light` or `dark`.
    pub async fn look(&mut self, width: u32, height: u32, colours: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let feature = json!({ "name": "prefers-color-scheme", "value": colours });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await;
    }

    /// Saves a picture of the window as PNG.
    pub async fn screenshot(&mut self, file: &Path) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        tokio::fs::write(file, picture).await.unwrap();
    }
}

/// The debugger's address, from the file that the browser writes when it listens.
async fn debugger(file: &Path) -> String {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        pause.tick().await;
        let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
        // The second line is written last, without a line end.
        if let Some((port, path)) =
            text.split_once('\n').filter(|(_, path)| path.starts_with("/devtools/browser/"))
        {
            return format!("ws://127.0.0.1:{port}{}", path.trim_end());
        }
    }
}
