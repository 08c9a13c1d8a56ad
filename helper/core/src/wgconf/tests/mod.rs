// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parser by tables and by properties.

mod properties;
mod read;
mod refuse;
mod write;

use super::*;

const PRIVATE: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const PUBLIC: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const PUBLIC_2: &str = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";
const PRESHARED: &str = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";

fn interface(lines: &str) -> String {
    format!("[Interface]\nPrivateKey = {PRIVATE}\n{lines}")
}

fn peer(lines: &str) -> String {
    interface(&format!("[Peer]\nPublicKey = {PUBLIC}\n{lines}"))
}

fn config(text: &str) -> Config {
    parse_new(text.as_bytes()).unwrap().config
}

fn errors(text: &str) -> Vec<ParseError> {
    parse_new(text.as_bytes()).unwrap_err()
}

/// Line, column, code of the only error.
fn error(text: &str) -> (u32, u32, &'static str) {
    match errors(text).as_slice() {
        [error] => (error.line, error.column, error.code()),
        more => panic!("one error wanted: {more:?}"),
    }
}

fn nets(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

/// As a provider writes it, with every setting there is.
fn full() -> String {
    format!(
        "\u{feff}# Device: Quick Fox\r\n\
         [Interface]\r\n\
         privatekey={PRIVATE} # mine\r\n\
         ADDRESS = 10.64.0.2/32,fc00:bbbb::2/128\r\n\
         Address\t=\t192.168.7.9/24 10.9.9.9\r\n\
         dns = 10.64.0.1, fd00::1 ,corp.Example\r\n\
         DNS = 10.64.0.1\r\n\
         MTU = 1380\r\n\
         ListenPort = 51820\r\n\
         PostUp = iptables -A OUTPUT; reboot # x\r\n\
         preDOWN = [Peer]\r\n\
         Table = off\r\n\
         FwMark = 0x6d6f6c65\r\n\
         saveconfig = true\r\n\
         \r\n\
         [peer]\r\n\
         PublicKey = {PUBLIC}\r\n\
         PresharedKey = {PRESHARED}\r\n\
         Endpoint = SE1.vpn.example:51820\r\n\
         AllowedIPs = 0.0.0.0/0, ::0/0\r\n\
         AllowedIPs = 10.1.2.3/8, 10.0.0.0/8\r\n\
         PersistentKeepalive = 25\r\n\
         [PEER]\r\n\
         PublicKey={PUBLIC_2}\r\n\
         Endpoint=[2001:db8::1]:1\r\n\
         AllowedIPs=\r\n\
         PersistentKeepalive=OFF\r\n\
         [Interface]\r\n\
         PostDown=true"
    )
}
