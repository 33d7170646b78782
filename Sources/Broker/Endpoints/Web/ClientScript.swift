extension WebFile {
    /// `clients/js/client.js`, put here by `make web`.
    static let clientScript = WebFile("text/javascript; charset=utf-8", tag: "b28bdc2f362c3d8d5c13") {
        #"""

        export class BrokerError extends Error{name="BrokerError";
        constructor(code,message){super(message);
        this.code=code;
        }
        }
        export const connect=(url,options)=>typeof url==="string"||url?.href?new Broker(url,options):new Broker(new URL(".",import.meta.url),url);
        const shortest=250,longest=15_000,pause=25_000,patience=8_000,stable=5_000,keyWindow=270_000;
        const final=[1002,1003,1007,1009,4400,4401,4403,4410];
        const later=["unavailable","rate-limited"];
        const mayRepeat=({sent,key})=>!sent||(key&&Date.now()-sent<keyWindow);
        const closed=(why="It is closed.")=>new BrokerError("closed",why);
        const onAbort=(signal,act)=>(signal?.aborted?act():signal?.addEventListener("abort",act));
        const report=globalThis.reportError??console.error;
        const call=(f,...values)=>{try{f?.(...values);
        }catch(error){report(error);
        }
        };
        function encode(data=null){if(!ArrayBuffer.isView(data)&&!(data instanceof ArrayBuffer))return{data};
        let text="";
        for(const byte of new Uint8Array(data.buffer??data,data.byteOffset,data.byteLength))text+=String.fromCharCode(byte);
        return{data:btoa(text),encoding:"base64"};
        }
        function decode({op,encoding,...message}){if(encoding)message.data=Uint8Array.from(atob(message.data),(letter)=>letter.charCodeAt());
        return message;
        }
        const fits=([level,...levels],[name,...names])=>level==="#"||((level===name||(level==="+"&&name!==undefined))&&(level===undefined||fits(levels,names)));
        class Broker extends EventTarget{status="connecting";
        epoch=0;
        #a;
        #b;
        #c;
        #d;
        #e=new AbortController();
        #f=0;
        #g=Infinity;
        #h=false;
        #i=0;
        #j=0;
        #k=new Map();
        #l=0;
        #m=new Set();
        #n=new Set();
        #o=new Set();
        constructor(url,options={}){super();
        this.#a=options;
        this.#b=url=new URL(url,globalThis.location?.href);
        url.protocol=url.protocol.replace("http","ws");
        url.pathname=url.pathname.replace(/([/]ws)?[/]?$/,"/ws");
        const{signal}=this.#e;
        const wake=()=>{if(globalThis.document?.hidden)return;
        if(this.status==="waiting")this.#p();
        else if(this.status==="open")this.#q();
        };
        for(const name of["online","pageshow","visibilitychange"])globalThis.addEventListener?.(name,wake,{signal});
        this.#p();
        onAbort(options.signal,()=>this.close());
        }
        #r(status,more){this.status=status;
        this.dispatchEvent(Object.assign(new Event("status"),{status},more));
        }
        #s(time,act){clearTimeout(this.#d);
        this.#d=setTimeout(act,time);
        }
        #t(){this.#s(patience,()=>this.#u(1006,"silent"));
        }
        #q(){this.#c.send('{"op":"ping"}');
        this.#t();
        }
        #p(){const{WebSocket=globalThis.WebSocket,parse=JSON.parse}=this.#a;
        const socket=(this.#c=new WebSocket(this.#b.href,["broker.v1.json"]));
        socket.onmessage=({data})=>{if(socket!==this.#c)return;
        this.#s(pause,()=>this.#q());
        for(const object of data.op?[data]:data.trim().split("\n").map(parse))this.#v(object);
        };
        socket.onclose=({code,reason})=>socket===this.#c&&this.#u(code,reason);
        socket.onerror=()=>{};
        this.#t();
        this.#r("connecting");
        }
        async #w({client,epoch}){const socket=this.#c,error=await this.#x().catch((error)=>error);
        if(socket!==this.#c)return;
        if(error)return this.#u(/^(unauth|forbid)/.test(error.code)?4401:1006,error.message);
        if(this.epoch!==epoch)this.#j=0;
        Object.assign(this,{client,epoch,status:"open"});
        this.#g=Date.now();
        const waiting=[...this.#k.values()];
        this.#y();
        for(const entry of waiting)this.#z(entry);
        for(const show of this.#o)show();
        this.#r("open");
        }
        async #x(){let{token}=this.#a;
        if(typeof token==="function")token=await token();
        if(token)await this.#A({op:"authenticate",...(typeof token==="string"?{token}:token)});
        this.#h=false;
        }
        #u(code,reason="",isOver=final.includes(code)){if(this.status==="closed")return;
        this.#c?.close(1000);
        this.#c=undefined;
        clearTimeout(this.#d);
        this.#n.clear();
        for(const one of this.#m)one.lost(this.#j);
        if(code===4401&&typeof this.#a.token==="function"&&!this.#h){this.#h=true;
        isOver=false;
        }
        this.status=isOver?"closed":"waiting";
        const error=isOver?closed(`${code} ${reason}`):new BrokerError("unknown","The connection was lost.");
        for(const[id,entry]of this.#k)if(isOver||!entry.keeps||!mayRepeat(entry))this.#B(id).reject(error);
        if(isOver){this.#e.abort();
        for(const one of this.#m)one.close(code===1000?undefined:error);
        return this.#r("closed",{code,reason});
        }
        if(Date.now()-this.#g>stable)this.#f=0;
        this.#g=Infinity;
        const told=/^retry=(\d+)$/.exec(reason);
        const retry=told?Number(told[1]):Math.random()*Math.min(longest,shortest*2**this.#f++);
        this.#s(retry,()=>this.#p());
        this.#r("waiting",{code,reason,retry});
        }
        close(){this.#u(1000,"by close()",true);
        }
        async[Symbol.asyncDispose??Symbol()](){this.close();
        }
        #v(object){const{op,id,seq,filter,code,message}=object,entry=this.#k.get(id);
        if(op==="message"){const message=decode(object);
        if(!message.retained&&message.topic[0]!=="$")this.#j=Math.max(this.#j,seq);
        for(const one of this.#m)one.message(message);
        }else if(op==="welcome")this.#w(object);
        else if(op==="live"){this.#j=Math.max(this.#j,seq);
        this.#n.delete(filter);
        for(const one of this.#C(filter))one.live(seq);
        this.#D(filter);
        this.#y();
        }else if(op==="gap")for(const one of this.#C(filter))one.gap(decode(object));
        else if(op==="revoked"){this.#n.delete(filter);
        for(const one of this.#C(filter))one.close(new BrokerError("forbidden",message));
        this.#y();
        }else if(op==="expiring")this.#x().catch(report);
        else if(op==="restored"){for(const one of this.#m)if(one.options.fresh&&one.state==="live")one.state="idle";
        for(const show of this.#o)show();
        this.#y();
        }else if(!entry||(op==="ok"&&entry.reply))return;
        else if(op!=="error")this.#B(id).resolve(decode(object));
        else if(entry.key&&!entry.reply&&later.includes(code)&&mayRepeat(entry)){setTimeout(()=>this.#k.has(id)&&this.status==="open"&&this.#z(entry),1000);
        }else this.#B(id).reject(new BrokerError(code,message));
        }
        #C(filter){return[...this.#m].filter((one)=>one.filter===filter);
        }
        #B(id){const entry=this.#k.get(id);
        this.#k.delete(id);
        this.#l-=entry.text.length;
        return entry;
        }
        #A(command,more){return new Promise((resolve,reject)=>this.#E(command,{...more,resolve,reject}));
        }
        #E(command,entry){const id=++this.#i,{queueBytes=8<<20}=this.#a,{signal,keeps,reject}=entry;
        entry.text=JSON.stringify({...command,id});
        this.#l+=entry.text.length;
        this.#k.set(id,entry);
        if(this.status==="closed")this.#B(id).reject(closed());
        else if(keeps&&this.#l>queueBytes)this.#B(id).reject(new BrokerError("limit-exceeded","Too much is waiting."));
        else if(this.status==="open"||!keeps)this.#z(entry);
        onAbort(signal,()=>this.#k.has(id)&&this.#B(id).reject(signal.reason));
        }
        #z(entry){entry.sent??=Date.now();
        this.#c.send(entry.text);
        }
        async publish(topic,data,{signal,...options}={}){signal?.throwIfAborted();
        if(options.key===true)options.key=`${Math.random()} ${Math.random()}`;
        const{key,reply}=options;
        return this.#A({op:"publish",topic,...encode(data),...options},{keeps:true,signal,key,reply});
        }
        request(topic,data,options){return this.publish(topic,data,{timeout:10,...options,reply:true});
        }
        reply({replyTo,correlation},data,options){return this.publish(replyTo,data,{correlation,...options});
        }
        presence(topic,data,options){const publish=(data,options)=>this.status==="open"&&this.publish(topic,data,options).catch(report);
        const show=()=>publish(data,{ephemeral:true,...options});
        const close=()=>this.#o.delete(show)&&publish("",{retain:true});
        this.#o.add(show);
        show();
        onAbort(options?.signal,close);
        return{update:(value)=>((data=value),show()),close};
        }
        subscribe(filter,callback,options){if(typeof callback!=="function")[callback,options]=[undefined,callback];
        const one=new Subscription(filter,callback,options);
        one.left=()=>{this.#m.delete(one);
        this.#D(filter);
        };
        this.#m.add(one);
        if(this.status==="closed")one.close(closed());
        onAbort(options?.signal,()=>one.close());
        this.#y();
        return one;
        }
        values(filter,changed,options){const map=new Map();
        let next;
        const take=(message)=>{const{topic,data,removed,retained,retain}=message;
        if(removed)(next??map).delete(topic);
        else if(retained||retain)(next??map).set(topic,data);
        else return;
        if(!next)changed?.(map,message);
        };
        const onbegin=()=>(next=new Map());
        const onlive=()=>{map.clear();
        next.forEach((data,topic)=>map.set(topic,data));
        next=undefined;
        changed?.(map);
        };
        const one=this.subscribe(filter,take,{...options,fresh:true,onbegin,onlive});
        return Object.assign(map,{ready:one.ready,close:()=>one.close()});
        }
        #y(){if(this.status!=="open"||this.#n.size)return;
        const kind=({filter,resumes,isAlone,epoch,seq,options:{since,slow,echo,snapshot}})=>JSON.stringify({since:resumes?`${epoch}-${seq}`:since,slow,echo,snapshot,filter:isAlone?filter:undefined});
        const idle=[...this.#m].filter((one)=>one.state==="idle"),all=idle.filter((one)=>kind(one)===kind(idle[0]));
        if(!all[0])return;
        this.#n=new Set(all.map((one)=>one.filter));
        this.#E({op:"subscribe",...JSON.parse(kind(all[0])),filter:[...this.#n]},{resolve:({seq})=>all.forEach((one)=>one.begun(seq,this.epoch)),reject:({code,message})=>{if(this.status!=="open")return;
        const isLater=later.includes(code);
        for(const one of all){one.isAlone=true;
        if(!isLater&&this.#n.size===1)one.close(new BrokerError(code,message));
        }
        this.#n.clear();
        setTimeout(()=>this.#y(),isLater?1000:0);
        },});
        }
        #D(filter){if(this.status==="open"&&!this.#n.has(filter)&&!this.#C(filter)[0])this.#c.send(JSON.stringify({op:"unsubscribe",filter}));
        }
        }
        class Subscription{state="idle";
        seq=0;
        resumes=false;
        #F=[];
        #G;
        #H;
        constructor(filter,callback,options={}){Object.assign(this,{filter,callback,options,levels:filter.split("/")});
        this.ready=new Promise((resolve,reject)=>Object.assign(this,{resolve,reject}));
        this.ready.catch(()=>{});
        }
        begun(seq,epoch){this.state="begun";
        if(this.epoch!==epoch||seq<this.seq)this.seq=0;
        this.epoch=epoch;
        if(!this.resumes&&this.options.since===undefined)this.seq=seq;
        call(this.options.onbegin,seq);
        }
        live(seq){if(this.state!=="begun")return;
        this.state="live";
        this.seq=Math.max(this.seq,seq);
        this.resumes=!this.options.fresh;
        call(this.options.onlive,seq);
        this.resolve();
        }
        lost(seq){if(this.state==="live")this.seq=Math.max(this.seq,seq);
        else if(this.state==="begun"&&this.options.since!==undefined&&this.seq)this.resumes=true;
        this.state="idle";
        }
        message(message){const{topic,seq,retained}=message,isOfBroker=topic[0]==="$";
        if(this.state==="idle"||(retained&&this.state==="live")||!fits(this.levels,topic.split("/")))return;
        if(isOfBroker&&/^[+#]/.test(this.filter))return;
        if(!retained&&!isOfBroker){if(seq<=this.seq)return;
        this.seq=seq;
        }
        if(this.callback)return call(this.callback,message);
        this.#F.push(message);
        this.#H?.();
        if(this.#F.length<=(this.options.queue??1000))return;
        const oldest=this.#F.shift().seq,{filter}=this,{since=oldest-1,missed=0}=this.#G??{};
        this.#G={filter,since,seq:oldest,missed:missed+1};
        }
        gap(gap){if(gap.seq<=this.seq||this.state==="idle")return;
        this.seq=gap.seq;
        call(this.options.ongap,gap);
        }
        async*[Symbol.asyncIterator](){try{for(;;){const gap=this.#G,message=this.#F.shift();
        this.#G=undefined;
        if(gap)call(this.options.ongap,gap);
        if(message)yield message;
        else if(this.error)throw this.error;
        else if(!this.left)return;
        else await new Promise((wake)=>(this.#H=wake));
        }
        }finally{this.close();
        }
        }
        close(error){const{left}=this;
        if(!left)return;
        Object.assign(this,{left:undefined,error});
        left();
        if(error)call(this.options.onerror,error);
        this.reject(error??closed());
        this.#H?.();
        }
        async[Symbol.asyncDispose??Symbol()](){this.close();
        }
        }

        """#
    }
}
